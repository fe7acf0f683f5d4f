"""What a model of materials learns from: rectified views, poses and maps in batches, each a function of its step.

Procedural materials are turned, moved and cut before they are rendered; of samples on disk a part is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.materials.cameras import poses_of_part
from terrarium.worlds.materials.maps import SYMMETRIES, Material
from terrarium.worlds.materials.multi_view import Kind, MultiView, Sample
from terrarium.worlds.materials.photograph import dirty, photograph, rectified
from terrarium.worlds.materials.procedural import SIZES, material
from terrarium.worlds.materials.splits import FIRST_HELD_OUT_SEED, SEEN_FAMILIES

ZOOMS = (1, 2)  # how many times as wide as the picture a procedural tile is, drawn evenly
KINDS_BY_CURRICULUM: dict[int, tuple[Kind, ...]] = {0: ("clean",), 1: ("clean", "dirty"), 2: ("dirty",)}


class Source(Protocol):
    def draw(self, rng: np.random.Generator, batch: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """-> rectified views [B, 3, 3, side, side], poses [B, 3, 3], maps [B, 8, side, side]."""


@dataclass(frozen=True)
class Endless:
    """Procedural materials, never the same twice."""

    curriculum: int = 0
    families: Sequence[str] = SEEN_FAMILIES

    def draw(self, rng: np.random.Generator, batch: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        zooms = [int(rng.choice(ZOOMS)) for _ in range(batch)]
        maps = torch.stack([self._one(rng, side, zoom) for zoom in zooms])
        whole = torch.from_numpy(rng.random(batch) < 0.5)  # what was photographed, or a part of it
        views, poses = photograph(maps, generator, torch.where(whole, 1.0, torch.tensor(zooms)))
        if self.curriculum and (self.curriculum == 2 or rng.random() < 0.5):
            views = dirty(views, generator)
        return rectified(views, poses), poses, maps

    def _one(self, rng: np.random.Generator, side: int, zoom: int) -> Tensor:
        family = self.families[int(rng.integers(len(self.families)))]
        made = material(family, int(rng.integers(FIRST_HELD_OUT_SEED)), min(zoom * side, SIZES[1]))
        return turned(rng, part_of(rolled(rng, made), 0, 0, side))


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Samples of a folder: (sample, which of its renders)."""

    data: MultiView
    entries: Sequence[tuple[str, Kind]]

    def draw(self, rng: np.random.Generator, batch: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
        found = [self._one(rng, side) for _ in range(batch)]
        views, poses, maps = (torch.stack(parts) for parts in zip(*found, strict=True))
        return views, poses, maps

    def _one(self, rng: np.random.Generator, side: int) -> tuple[Tensor, Tensor, Tensor]:
        name, kind = self.entries[int(rng.integers(len(self.entries)))]
        sample = self.data.read(name, kind)
        views, poses, maps = as_tensors(sample)
        if maps.shape[-1] < side:
            raise ValueError(f"{self.data.folder}: {name} has {maps.shape[-1]} pixels a side, expected {side} or more")
        top, left = (int(v) for v in rng.integers(maps.shape[-1] - side + 1, size=2))
        return (
            part_of(views, top, left, side),
            part_poses(poses, maps.shape[-1], top, left, side),
            part_of(maps, top, left, side),
        )


def part_of(pictures: Tensor, top: int, left: int, side: int) -> Tensor:
    return pictures[..., top : top + side, left : left + side]


def part_poses(poses: Tensor, full: int, top: int, left: int, side: int) -> Tensor:
    """Poses [..., 3] of `full` pixels a side, as a square of `side` pixels sees them."""
    centre = torch.tensor([2 * left + side - full, full - 2 * top - side]) / full
    return poses_of_part(poses, centre, side / full)


def entries_of(data: MultiView, materials: Sequence[str], curriculum: int) -> list[tuple[str, Kind]]:
    """Of the samples of these materials: curriculum 1 enters a sample twice where both renders exist. ValueError
    where curriculum 2 finds no dirty ones."""
    kinds = [kind for kind in KINDS_BY_CURRICULUM[curriculum] if kind in data.kinds]
    if not kinds:
        raise ValueError(f"{data.folder} has no dirty renders, which curriculum {curriculum} learns from")
    wanted = set(materials)
    return [(name, kind) for name, made in data.materials.items() if made in wanted for kind in kinds]


def as_tensors(sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """Rectified views [3, 3, H, W], poses [3, 3], maps [8, H, W]. Unknown poses: as if seen from straight above."""
    views, maps = torch.from_numpy(sample.views), torch.from_numpy(sample.maps)
    if sample.poses is None:
        return views, torch.tensor([[0.0, 0.0, 4.0]]).repeat(len(views), 1), maps
    poses = torch.from_numpy(sample.poses)
    return rectified(views[None], poses[None])[0], poses, maps


def held_out(seed: int, families: Sequence[str], each: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Views rectified, poses and maps of `each` materials of every family, with seeds that training never draws."""
    first = FIRST_HELD_OUT_SEED + seed * each
    maps = torch.stack([torch.from_numpy(material(f, first + i, side).maps) for f in families for i in range(each)])
    views, poses = photograph(maps, torch.Generator().manual_seed(seed))
    return rectified(views, poses), poses, maps


def rolled(rng: np.random.Generator, made: Material) -> Tensor:
    """The maps begun at another place of the tile."""
    rows, columns = rng.integers(made.maps.shape[-1], size=2)
    return torch.from_numpy(np.roll(made.maps, (rows, columns), (-2, -1)))


def turned(rng: np.random.Generator, maps: Tensor) -> Tensor:
    return SYMMETRIES[int(rng.integers(len(SYMMETRIES)))](maps)
