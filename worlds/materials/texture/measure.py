"""What a model of the staged plan is worth on held-out textures, each map and class by class."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from terrarium.worlds.device import default_device
from terrarium.worlds.materials.maps import NORMAL
from terrarium.worlds.materials.texture.losses import loss_of
from terrarium.worlds.materials.texture.model import Found, TextureNet
from terrarium.worlds.materials.texture.phases import PHASES, MapName
from terrarium.worlds.materials.texture.sample import DIFFUSE, LABEL, METAL, TARGETS, target
from terrarium.worlds.pictures.perceptual import LPIPS

Figures = dict[str, float]


@torch.no_grad()
def measure(model: nn.Module, samples: Iterable[Tensor], head: MapName | None, perceptual: LPIPS) -> Figures:
    """{error, loss, albedo_lpips, {map}_l1, accuracy, iou, metal_iou}, means over samples [14, H, W].

    `error` is what the gate compares: the mean L1 of all maps, or that of `head`. Accuracy and IoU (the mean over the
    classes that occur) are of pixels whose class is known, and are left out where none is.
    """
    assert isinstance(model, TextureNet)
    device = default_device()
    found = [_of(model, x[None].to(device), perceptual) for x in samples]
    mean = means([each for each, _ in found])
    confusion = torch.stack([each for _, each in found]).sum(0)
    maps = [f"{name}_l1" for name in TARGETS] if head is None else [f"{head}_l1"]
    known = [mean[name] for name in maps if name in mean]
    return {"error": sum(known) / max(1, len(known)), **mean, **_classes(confusion)}


def _of(model: TextureNet, x: Tensor, perceptual: LPIPS) -> tuple[Figures, Tensor]:
    """-> figures of a sample [1, 14, H, W], its confusion matrix [true, found]."""
    found = model(x[:, DIFFUSE], x[:, NORMAL])
    figures = {"loss": float(loss_of(found, x, PHASES["A"], None, None)[0])}
    for name in (*TARGETS, "metal"):
        true = target(x, name)
        if float(true.min()) >= 0:
            figures[f"{name}_l1"] = float((found.map(name) - true).abs().mean())
    figures["albedo_lpips"] = float(perceptual(2 * found.albedo - 1, 2 * target(x, "albedo") - 1))
    figures["metal_iou"] = _metal_iou(found, x)
    classes = found.classes.shape[1]
    true, guess = x[:, LABEL].long().flatten(), found.classes.argmax(1).flatten()
    index = classes * true[true >= 0] + guess[true >= 0]
    return figures, torch.bincount(index, minlength=classes**2).view(classes, classes).cpu()


def _metal_iou(found: Found, x: Tensor) -> float:
    """1 where there is no metal and none was found."""
    true, guess = target(x, "metal") > 0, found.map("metal") >= METAL
    either = (true | guess).sum()
    return float((true & guess).sum() / either) if either else 1.0


def _classes(confusion: Tensor) -> Figures:
    if not confusion.sum():
        return {}
    right = confusion.diag().double()
    either = confusion.sum(0) + confusion.sum(1) - confusion.diag()
    there = confusion.sum(1) > 0
    return {
        "accuracy": float(right.sum() / confusion.sum()),
        "iou": float((right[there] / either[there]).mean()),
    }


def means(figures: list[Figures]) -> Figures:
    """Of each name over those that have it."""
    each = {
        name: [one[name] for one in figures if name in one] for name in dict.fromkeys(n for f in figures for n in f)
    }
    return {name: sum(values) / len(values) for name, values in each.items()}
