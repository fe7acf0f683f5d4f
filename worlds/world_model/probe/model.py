"""The probe: what does each part of a picture show? Block, face and depth, named by a small network.

It was trained on the simulator alone, for that and nothing else, and is frozen. Whoever looks at pictures through it
sees whether they can be read as a block world: a brush stroke has no face, and no distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from terrarium.worlds.blocks import palette
from terrarium.worlds.blocks.raycast import Labels
from terrarium.worlds.checkpoint import load_checkpoint, load_into
from terrarium.worlds.device import default_device
from terrarium.worlds.precision import in_full
from terrarium.worlds.world_model.tokenizer import channels_last

CELL = 2  # pixels along the side of what gets one answer; the label is that of its upper left pixel
DEPTH_EDGES = np.geomspace(1, 24, 9)  # blocks; between them ten classes of depth
SKY = {"block": 0, "face": len(palette.NORMALS), "depth": len(DEPTH_EDGES) + 1}  # its class in each answer
CLASSES = {"block": len(palette.BLOCKS), "face": SKY["face"] + 1, "depth": SKY["depth"] + 1}
WIDTHS = (24, 48, 80)  # at 1/2, 1/4 and 1/8 of the picture's side
FEATURES = 2 * sum(WIDTHS)
MIDDLE = np.r_[WIDTHS[0] : sum(WIDTHS[:2]), sum(WIDTHS) + WIDTHS[0] : sum(WIDTHS) + sum(WIDTHS[:2])]
# Of the features, those of the middle map: as many as distances between a few hundred frames can bear.


class ResBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


@dataclass
class Answers:
    """Logits [N, classes, H/2, W/2] of each of `CLASSES`, and the encoder's maps, WIDTHS channels each."""

    logits: dict[str, torch.Tensor]
    maps: list[torch.Tensor]  # [N, 24, H/2, W/2], [N, 48, H/4, W/4], [N, 80, H/8, W/8]


@dataclass
class Sight:
    """What the probe sees in frames [..., H, W, 3]."""

    features: np.ndarray  # float32 [..., FEATURES]: means and deviations over the places of `Answers.maps`
    confidence: np.ndarray  # float32 [..., H/2, W/2]: joint probability of the likeliest block, face and depth
    sky: np.ndarray  # bool [..., H/2, W/2]


class Probe(nn.Module):
    """Frames [N, 3, H, W] in [0, 1], H and W multiples of 8 -> `Answers`."""

    def __init__(self, frame_size: tuple[int, int]) -> None:
        super().__init__()
        self.frame_size = frame_size
        fine, middle, coarse = WIDTHS
        self.stem = nn.Conv2d(3 * CELL * CELL, fine, 3, padding=1)
        self.down1 = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.block1 = ResBlock(middle)
        self.down2 = nn.Conv2d(middle, coarse, 3, stride=2, padding=1)
        self.block2 = ResBlock(coarse)
        self.up2 = nn.Conv2d(coarse, middle, 1)
        self.merge2 = nn.Conv2d(middle, middle, 3, padding=1)
        self.up1 = nn.Conv2d(middle, fine, 1)
        self.merge1 = nn.Conv2d(fine, fine, 3, padding=1)
        self.out = nn.Conv2d(fine, sum(CLASSES.values()), 1)

    def forward(self, frames: torch.Tensor) -> Answers:
        x = F.pixel_unshuffle(frames - 0.5, CELL).contiguous(memory_format=torch.channels_last)
        stem = self.stem(x)
        fine = F.silu(stem)
        raw = self.block1(self.down1(fine))
        middle = F.silu(raw)
        coarse = self.block2(self.down2(middle))
        y = F.silu(self.merge2(F.silu(raw + F.interpolate(self.up2(coarse), scale_factor=2))))
        z = F.silu(self.merge1(F.silu(stem + F.interpolate(self.up1(y), scale_factor=2))))
        logits = self.out(z).split(list(CLASSES.values()), dim=1)
        return Answers(dict(zip(CLASSES, logits, strict=True)), [fine, middle, coarse])

    @torch.inference_mode()
    def read(self, frames: np.ndarray, batch: int = 256) -> Sight:
        """uint8 [..., H, W, 3]"""
        flat = frames.reshape(-1, *frames.shape[-3:])
        device = self.out.weight.device
        parts = []
        for first in range(0, len(flat), batch):
            x = to_inputs(torch.from_numpy(flat[first : first + batch]).to(device))
            with in_full(x):  # what measures is not rounded with what is measured
                parts.append(_sight(self(x)))
        columns = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
        return Sight(*(x.reshape(*frames.shape[:-3], *x.shape[1:]) for x in columns))


def _sight(answers: Answers) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    likeliest = [logits.softmax(dim=1).max(dim=1).values for logits in answers.logits.values()]
    means = [m.mean(dim=(2, 3)) for m in answers.maps]
    spreads = [m.std(dim=(2, 3)) for m in answers.maps]
    sky = answers.logits["block"].argmax(dim=1) == SKY["block"]
    return torch.cat(means + spreads, dim=1), torch.stack(likeliest).prod(dim=0), sky


def to_inputs(frames: torch.Tensor) -> torch.Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, H, W] in [0, 1]."""
    return frames.movedim(-1, 1).float() / 255


def classes(labels: Labels) -> np.ndarray:
    """-> uint8 [3, H/2, W/2]: the class of each of `CLASSES` in each cell."""
    block, face, depth = (x[::CELL, ::CELL] for x in (labels.block, labels.face, labels.depth))
    sky = block == SKY["block"]
    return np.stack(
        [block, np.where(sky, SKY["face"], face), np.where(sky, SKY["depth"], np.digitize(depth, DEPTH_EDGES))]
    ).astype(np.uint8)


def shipped_probe() -> Path:
    """The weights that come with the project."""
    return Path(str(files("terrarium.worlds.world_model") / "probe" / "weights"))


def load_probe(folder: Path) -> tuple[Probe, dict[str, Any]]:
    """-> probe in eval mode on the default device, manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, "probe")
    probe = channels_last(Probe(tuple(manifest["data"]["frame_size"])))
    load_into(probe, tensors, folder)
    return probe.to(default_device()).eval(), manifest


def degrade(frames: torch.Tensor) -> torch.Tensor:
    """Frames [N, 3, H, W] in [0, 1], of which three in eight are made hard to read in one of three ways, more or less.

    The labels stay those of the clean picture: where they cannot be told any more, the probe learns to be unsure.
    Without this it is sure of what it says of any picture. Blur is not among the ways: a blurred block can still be
    named, and a probe that has seen blur does not mind it.
    """
    which = torch.randint(8, (len(frames),), device=frames.device)
    amount = torch.rand(len(frames), 1, 1, 1, device=frames.device)
    out = frames
    for kind, change in enumerate((_shuffled, _stirred, _faded)):
        rows = (which == kind).nonzero().squeeze(1)
        if len(rows):
            out = out.index_copy(0, rows, change(frames[rows], amount[rows]))
    return out


def _shuffled(x: torch.Tensor, amount: torch.Tensor, side: int = 4) -> torch.Tensor:
    """A share of the cells of 4x4 pixels exchange places."""
    n, _, h, w = x.shape
    cells = F.unfold(x, side, stride=side)
    places = torch.arange(cells.shape[2], device=x.device).expand(n, -1)
    order = torch.rand(places.shape, device=x.device).argsort(dim=1)
    moved = torch.rand(places.shape, device=x.device) < amount.view(n, 1)
    source = torch.where(moved, order, places)
    return F.fold(cells.gather(2, source.unsqueeze(1).expand_as(cells)), (h, w), side, stride=side)


def _stirred(x: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Displaced by a smooth random field of up to about ten pixels."""
    n, _, h, w = x.shape
    field = F.interpolate(torch.randn(n, 2, h // 8, w // 8, device=x.device), size=(h, w), mode="bicubic")
    identity = torch.eye(2, 3, device=x.device).expand(n, -1, -1)
    grid = F.affine_grid(identity, [n, 1, h, w], align_corners=False)
    return F.grid_sample(x, grid + 0.2 * amount * field.movedim(1, -1), padding_mode="border", align_corners=False)


def _faded(x: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Into the colour of one of its pixels."""
    n, _, h, w = x.shape
    pixel = torch.randint(h * w, (n, 1, 1), device=x.device)
    colour = x.flatten(2).gather(2, pixel.expand(n, 3, 1)).unsqueeze(3)
    return torch.lerp(x, colour, (2 * amount).clamp(max=1))
