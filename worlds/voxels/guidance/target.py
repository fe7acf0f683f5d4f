"""Guidance `target`: the score of a point mass at known pictures. Needs no weights, and must converge.

The score of a Gaussian of unit variance around the target x* is x* - x: minus the gradient of half the squared
distance, which is the loss, a sum over the pixels as in score distillation. The target is a world, of which pictures
are taken, or a capture set.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.voxels import finish, scores
from terrarium.worlds.voxels.camera import GOLDEN_DEG, orbit
from terrarium.worlds.voxels.capture import Capture, read_capture, view_of
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.kinds import GenerateConfig
from terrarium.worlds.voxels.render import of_blocks, render
from terrarium.worlds.voxels.world import is_capture, open_world

LOWEST_DEG, HIGHEST_DEG = 8.0, 75.0  # elevation of the pictures that are taken of a world


class Target:
    """`blocks` are the target's, where they are known."""

    def __init__(self, capture: Capture, blocks: np.ndarray | None) -> None:
        self.views, self.pictures, self.blocks = capture.views, torch.from_numpy(capture.pictures), blocks
        self.seen = None if blocks is None else scores.seen(blocks, self.views)

    def view(self, rng: np.random.Generator) -> View:
        return self.views[int(rng.integers(len(self.views)))]

    def loss(self, rgb: Tensor, view: View, done: float, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        wanted = self.pictures[view.number].to(rgb).permute(2, 0, 1)
        return 0.5 * (rgb - wanted).square().sum(), {}

    def measure(self, blocks: np.ndarray) -> dict[str, float]:
        """Of the exported blocks: PSNR in dB, and against known ones IoU and the accuracy of the materials."""
        found = {"hard_psnr": scores.hard_psnr(blocks, self.views, self.pictures)}
        if self.blocks is not None and self.seen is not None:
            found |= scores.against(blocks, self.blocks, self.seen)
        return found

    def finished(self, blocks: np.ndarray, rounds: int, alive: Callable[[], None]) -> np.ndarray:
        return finish.finished(blocks, finish.Wanted(self.views, self.pictures), rounds, alive=alive)


def make(config: GenerateConfig, shape: Shape) -> Target:
    """ValueError where the target is missing, broken, or of another size."""
    assert config.target is not None
    path = Path(config.target)
    if is_capture(path):
        return Target(read_capture(path, shape), None)
    blocks = open_world(path).blocks
    if blocks.shape != shape:
        raise ValueError(f"target {path} has {list(blocks.shape)} blocks, expected {list(shape)}")
    return Target(take(blocks, config.views, config.image), blocks)


def take(blocks: np.ndarray, count: int, side: int) -> Capture:
    """Pictures of a world from all around: evenly in azimuth and in the sine of the elevation."""
    low, high = np.sin(np.radians([LOWEST_DEG, HIGHEST_DEG]))
    nx, ny, nz = blocks.shape
    views = []
    for i in range(count):
        above = float(np.degrees(np.arcsin(low + (high - low) * (i + 0.5) / count)))
        views.append(view_of(orbit((nx, ny, nz), i * GOLDEN_DEG % 360, above, side, side), i))
    alpha, colour = of_blocks(blocks)
    pictures = [render(alpha, colour, view.camera) for view in views]
    rgb, depths, normals = (
        torch.stack([getattr(one, part) for one in pictures]).numpy() for part in ("rgb", "depth", "normal")
    )
    return Capture(views, rgb, depths, normals)
