"""What to benchmark and what to compile of the march (kernels/cases.py)."""

from __future__ import annotations

from functools import partial

import torch

from terrarium.kernels.cases import BenchCase, CompileCase, Inputs
from terrarium.kernels.march.fused import march
from terrarium.kernels.march.naive import march as naive


def _make(device: torch.device, dtype: torch.dtype, *, side: int, picture: int, backward: bool) -> Inputs:
    """A fog of voxels, seen from in front of it."""
    middle, away = side / 2, 2.2 * side
    across = (torch.arange(picture, dtype=torch.float64) + 0.5) / picture * 2 - 1
    down, right = torch.meshgrid(-across, across, indexing="ij")
    rays = torch.stack([0.5 * right + 0.3, 0.5 * down - 0.3, -torch.ones_like(right)], -1).reshape(-1, 3)
    colour = torch.rand(side, side, side, 6, 3, device=device).to(dtype)
    return {
        "alpha": torch.sigmoid(torch.randn(side, side, side, device=device) - 3.4).to(dtype).requires_grad_(backward),
        "face_colour": colour.requires_grad_(backward),
        "eye": torch.tensor(
            [middle - 0.3 * away, middle + 0.3 * away, middle + away], device=device, dtype=torch.float64
        ),
        "rays": torch.nn.functional.normalize(rays, dim=-1).to(device),
    }


def _traffic(inputs: Inputs) -> int:
    """The grid once, the rays, and eight numbers a ray."""
    alpha, rays = inputs["alpha"], inputs["rays"]
    return alpha.numel() * 19 * alpha.element_size() + rays.numel() * 8 + len(rays) * 8 * alpha.element_size()


def _bench(side: int, picture: int, *, backward: bool, cpu: bool) -> BenchCase:
    what = "forward + backward" if backward else "forward"
    make = partial(_make, side=side, picture=picture, backward=backward)
    name = f"{side}^3 {picture}^2 {what}"
    return BenchCase("march", name, make, naive, march, _traffic, (torch.float32,), backward, quick=cpu, cpu=cpu)


BENCH = [
    _bench(side, picture, backward=backward, cpu=(side, picture) == (16, 64))
    for side, picture in ((16, 64), (32, 128), (32, 256), (32, 512), (64, 512))
    for backward in (False, True)
]


def COMPILE() -> list[CompileCase]:
    from terrarium.kernels.march.triton_kernels import SIZES, march_bwd, march_fwd

    sizes = {"n_rays": "i32:16", "nx": "i32:16", "ny": "i32:16", "nz": "i32:16", "BLOCK": SIZES["BLOCK"]}
    colours = {"NEED_ALPHA": True, "NEED_COLOUR": True}
    grid = {"alpha_ptr": "*fp32:16", "colour_ptr": "*fp32:16", "eye_ptr": "*fp64:16", "rays_ptr": "*fp64:16"}
    scratch = {"code_ptr": "*i32:16", "light_ptr": "*fp32:16", "t_ptr": "*fp32:16"}
    grads = {"grad_ptr": "*fp32:16", "d_alpha_ptr": "*fp32:16", "d_colour_ptr": "*fp32:16"}
    return [
        CompileCase("march", "fp32 forward", march_fwd, grid | {"out_ptr": "*fp32:16"} | sizes),
        CompileCase("march", "fp32 backward", march_bwd, grid | grads | scratch | sizes | colours),
    ]
