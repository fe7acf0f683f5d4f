"""A grid of half-transparent voxels as a picture, differentiable in opacity and colour.

    w_i = a_i prod_{j<i} (1 - a_j)        along a ray: the voxels that it crosses, from the eye on
    rgb = sum w_i c_i + (1 - sum w_i) background        opacity = sum w_i
    depth = sum w_i t_i                                 normal = sum w_i n_i

Opacity a_i belongs to the voxel, whatever length of the ray lies in it, and c_i to the face through which the ray
enters. So the picture is the mean over worlds whose voxels are there or not, independently, with probability a_i; where
every a_i is 0 or 1 it is the opaque picture of worlds/blocks/raycast.py, which draws from the same palette. The voxel
that the eye is in counts at t = 0, with its top face if the ray points down, else its bottom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from terrarium.kernels.op import runs_triton
from terrarium.worlds.blocks.palette import AIR, SKY, sun_lut
from terrarium.worlds.voxels import cpu, gpu, peel, reference
from terrarium.worlds.voxels.camera import Camera


class Picture(NamedTuple):
    """What a camera sees. `depth`, in blocks along the ray, and `normal` are weighted by opacity, not divided by it."""

    rgb: Tensor  # [H, W, 3]
    opacity: Tensor  # [H, W]
    depth: Tensor  # [H, W]
    normal: Tensor  # [H, W, 3]


# (alpha, face_colour, camera) -> rgb without background, opacity, depth, normal
BACKENDS: dict[str, Callable[[Tensor, Tensor, Camera], tuple[Tensor, Tensor, Tensor, Tensor]]] = {
    "reference": reference.march,
    "cpu": cpu.march,
    "triton": gpu.march,
    "nvdiffrast": peel.march,
}


def render(
    alpha: Tensor,
    face_colour: Tensor,
    camera: Camera,
    *,
    background: Tensor | None = None,
    backend: str | None = None,
) -> Picture:
    """alpha [X, Y, Z] in [0, 1], face_colour [X, Y, Z, 6, 3] of the same dtype; faces as in worlds/blocks/palette.py.

    `background`, [3] or [H, W, 3], is the clear sky if omitted. `backend` is one of BACKENDS; if omitted, `cpu` for
    tensors on the CPU, `nvdiffrast` for those on a GPU where it is installed, else `triton`. Raises ValueError for
    shapes, dtypes or devices that do not fit.
    """
    _check(alpha, face_colour)
    name = backend or default_backend(alpha.device)
    if name not in BACKENDS:
        raise ValueError(f"backend is {name!r}: expected one of {', '.join(BACKENDS)}")
    if name == "cpu" and alpha.device.type != "cpu":
        raise ValueError(f"alpha is on {alpha.device}: the backend cpu expects it on the CPU")
    if name == "triton" and not runs_triton(alpha):
        raise ValueError(f"alpha is on {alpha.device}: the backend triton expects it on a GPU")
    if name == "nvdiffrast" and alpha.device.type not in peel.DEVICES:
        raise ValueError(f"alpha is on {alpha.device}: the backend nvdiffrast expects it on a GPU")
    if name == "nvdiffrast" and not peel.installed():
        raise ValueError("backend is 'nvdiffrast', which is not installed: expected another, or nvdiffrast 0.3")
    rgb, opacity, depth, normal = BACKENDS[name](alpha, face_colour, camera)
    if background is None:
        background = torch.as_tensor(SKY)
    behind = background.to(rgb) * (1 - opacity).unsqueeze(-1)
    return Picture(rgb + behind, opacity, depth, normal)


def default_backend(device: torch.device) -> str:
    if device.type == "cuda":
        return "nvdiffrast" if peel.installed() else "triton"
    return "cpu" if device.type == "cpu" else "reference"


def _check(alpha: Tensor, face_colour: Tensor) -> None:
    if alpha.ndim != 3 or 0 in alpha.shape:
        raise ValueError(f"alpha has shape {list(alpha.shape)}: expected [X, Y, Z], none of them 0")
    if tuple(face_colour.shape) != (*alpha.shape, 6, 3):
        raise ValueError(f"face_colour has shape {list(face_colour.shape)}: expected {[*alpha.shape, 6, 3]}")
    if alpha.dtype not in (torch.float32, torch.float64) or face_colour.dtype != alpha.dtype:
        raise ValueError(
            f"alpha is {alpha.dtype}, face_colour {face_colour.dtype}: expected float32 or float64, both alike"
        )
    if face_colour.device != alpha.device:
        raise ValueError(f"face_colour is on {face_colour.device}, alpha on {alpha.device}: expected one device")


def of_blocks(blocks: np.ndarray, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Blocks uint8 [X, Y, Z] as what `render` takes: alpha of 0 and 1, colours lit by the map viewer's shader."""
    alpha = torch.from_numpy(blocks != AIR).to(dtype)
    return alpha, torch.from_numpy(sun_lut()[blocks]).to(dtype)
