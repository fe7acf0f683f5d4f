"""What the staged plan lowers. What a sample does not know, which is below zero there, counts for nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.materials.maps import ALBEDO, METALLIC
from terrarium.worlds.materials.texture.model import GREY, Found
from terrarium.worlds.materials.texture.phases import MapName, Phase
from terrarium.worlds.materials.texture.sample import LABEL, tags_of, target
from terrarium.worlds.pictures.perceptual import LPIPS
from terrarium.worlds.precision import in_full

FOREGROUND = 3.0  # weight of metal in the albedo's loss, whose colour a diffuse texture tells least of
PERCEPTUAL = 0.1
TAGS = 0.1
Parts = dict[str, Tensor]


def masked_l1(found: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """sum w |d| / sum w over all channels and pixels; `weight` [B, 1, H, W]. 0 where all weights are."""
    weight = weight.expand_as(found)
    return (weight * (found - true).abs()).sum() / weight.sum().clamp(min=1e-6)


def multi_label(logits: Tensor, tags: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of each tag, [B, K], the mean over samples [B] whose tags are known."""
    each = F.binary_cross_entropy_with_logits(logits, tags, reduction="none").mean(1)
    return (known * each).sum() / known.sum().clamp(min=1.0)


def albedo_loss(found: Tensor, true: Tensor, metal: Tensor, perceptual: LPIPS | None) -> tuple[Tensor, Parts]:
    """L1; with `perceptual` masked L1, metal FOREGROUND times, and LPIPS."""
    if perceptual is None:
        part = (found - true).abs().mean()
        return part, {"albedo": part.detach()}
    l1 = masked_l1(found, true, 1 + (FOREGROUND - 1) * metal)
    distance = perceptual(2 * found - 1, 2 * true - 1).mean()
    return l1 + PERCEPTUAL * distance, {"albedo": l1.detach(), "lpips": distance.detach()}


def grey_loss(found: Found, x: Tensor, name: str) -> Tensor:
    """Cross-entropy of the metal mask, L1 of the others, where they are known."""
    true = target(x, name)
    known = (x[:, METALLIC] >= 0 if name == "metal" else true >= 0).to(true.dtype)
    if name == "metal":
        each = F.binary_cross_entropy_with_logits(found.grey[name], true, reduction="none")
        return (known * each).sum() / known.sum().clamp(min=1.0)
    return masked_l1(found.map(name), torch.where(true < 0, torch.zeros_like(true), true), known)


def loss_of(
    found: Found, x: Tensor, phase: Phase, head: MapName | None, perceptual: LPIPS | None
) -> tuple[Tensor, Parts]:
    """Of samples [B, 14, H, W]: all maps, classes and tags, or the one map of `head`, which is none of albedo."""
    with in_full(x):
        parts = {name: grey_loss(found, x, name) for name in (GREY if head is None else (head,))}
        of_albedo: Parts = {}
        if head is None:
            parts["classes"] = classes_loss(found.classes, x[:, LABEL])
            if phase.game == 0:
                parts["tags"] = TAGS * multi_label(found.tags, *tags_of(x[:, LABEL], found.tags.shape[1]))
            parts["albedo"], of_albedo = albedo_loss(found.albedo, x[:, ALBEDO], target(x, "metal"), perceptual)
        told = {name: part.detach() for name, part in parts.items()} | of_albedo
        return torch.stack(list(parts.values())).sum(), told


def classes_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy over the pixels whose class is known; 0 where none is."""
    index = label[:, 0].long()
    summed = F.cross_entropy(logits, index, ignore_index=-1, reduction="sum")
    return summed / (index >= 0).sum().clamp(min=1)
