"""What pulls a voxel grid toward a world: one protocol, so that the recipe knows none of them.

A guidance chooses the views of a step and turns each picture into a loss whose gradient is the pull. Lengths are in
blocks of the finished grid; while a coarser one is optimised, the recipe moves the camera, and guidance sees no
difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from terrarium.worlds.kinds import resolve
from terrarium.worlds.voxels.camera import Camera
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.kinds import GenerateConfig

# name: `module:function`, (config, shape of the finished grid) -> Guidance. Paths, so that a run loads its own alone.
GUIDANCE = {
    "target": "terrarium.worlds.voxels.guidance.target:make",
    "blocks": "terrarium.worlds.voxels.guidance.blocks:make",
    "sd": "terrarium.worlds.voxels.guidance.diffusion:make",
    "sdxl": "terrarium.worlds.voxels.guidance.diffusion:make",
}


@dataclass(frozen=True, eq=False)
class View:
    """A camera, the angles from which it looks (worlds/voxels/camera.py), and which of a target set it is, else -1."""

    camera: Camera
    number: int
    azimuth_deg: float
    elevation_deg: float


class Guidance(Protocol):
    def view(self, rng: np.random.Generator) -> View:
        """Where the next picture is taken from."""

    def loss(self, rgb: Tensor, view: View, done: float, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """rgb [3, H, W] in [0, 1], differentiable, and the share of the run that is done, in [0, 1) -> a scalar whose
        gradient is the pull, and figures to report. The scalar itself need not measure progress."""


@runtime_checkable
class Measured(Protocol):
    """A guidance that can tell how good a finished world is, so that a run can keep its best."""

    def measure(self, blocks: np.ndarray) -> dict[str, float]:
        """Blocks uint8 [X, Y, Z] of the finished grid's shape -> figures; `hard_psnr` is the one to be raised."""


@runtime_checkable
class Finishing(Protocol):
    """A guidance that has, or draws, pictures of the whole world, to which its blocks can be brought nearer."""

    def finished(self, blocks: np.ndarray, rounds: int, alive: Callable[[], None]) -> np.ndarray:
        """Blocks after at most so many rounds of changing single ones, before each of which `alive` is called."""


def guidance(config: GenerateConfig, shape: Shape) -> Guidance:
    """The one that the config names. ValueError says what is wrong with what it needs."""
    if config.guidance not in GUIDANCE:
        raise ValueError(f"guidance {config.guidance!r} is not available: expected one of {', '.join(GUIDANCE)}")
    made: Guidance = resolve(GUIDANCE[config.guidance])(config, shape)
    return made
