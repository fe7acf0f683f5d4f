"""What to benchmark and what to compile of SSIM (kernels/cases.py)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from terrarium.kernels.cases import BenchCase, CompileCase, Inputs
from terrarium.kernels.ssim.fused import ssim
from terrarium.kernels.ssim.naive import ssim as naive


def _make(device: torch.device, dtype: torch.dtype, *, batch: int, side: int) -> Inputs:
    x, y = (torch.rand(batch, 3, side, side, device=device).to(dtype).requires_grad_() for _ in range(2))
    return {"x": x, "y": y, "data_range": 1.0}


def _bench(batch: int, side: int, *, backward: bool, cpu: bool) -> BenchCase:
    """Least traffic: forward reads both pictures; backward reads them again and writes both gradients."""
    return BenchCase(
        op="ssim",
        name=f"{batch}x3x{side}x{side} {'forward + backward' if backward else 'forward'}",
        make=partial(_make, batch=batch, side=side),
        naive=naive,
        fused=ssim,
        traffic=lambda inputs: (6 if backward else 2) * inputs["x"].numel() * inputs["x"].element_size(),
        backward=backward,
        quick=cpu,
        cpu=cpu,
    )


BENCH = [
    _bench(8, 64, backward=False, cpu=True),
    _bench(8, 64, backward=True, cpu=True),
    _bench(16, 256, backward=True, cpu=False),
    _bench(1, 1024, backward=True, cpu=False),
]


def COMPILE() -> list[CompileCase]:
    from terrarium.kernels.ssim.triton_kernels import SIZES, ssim_map, ssim_spread

    options = dict(SIZES)
    warps = options.pop("num_warps")
    cases = []
    for dtype in ("bf16", "fp32"):
        pictures = {f"{name}_ptr": f"*{dtype}:16" for name in ("x", "y", "dx", "dy")}
        sizes = {"n_channels": "i32", "height": "i32:16", "width": "i32:16", "map_size": "i32"}
        strides: dict[str, Any] = {f"{p}_{s}": "i32:16" for p in ("x", "y") for s in "bch"} | {"x_w": 1, "y_w": 1}
        known = pictures | sizes | strides | {"c1": "fp32", "c2": "fp32", "maps_ptr": "*fp32:16"} | options
        forward = {
            "grad_ptr": None,
            "maps_ptr": None,
            "partial_ptr": "*fp32:16",
            "BACKWARD": False,
            "NEED_X": False,
            "NEED_Y": False,
        }
        backward = {"grad_ptr": "*fp32:16", "partial_ptr": None, "BACKWARD": True, "NEED_X": True, "NEED_Y": True}
        for name, program, more in (
            ("fwd", ssim_map, forward), ("bwd map", ssim_map, backward), ("bwd spread", ssim_spread, backward),
        ):  # fmt: skip
            used = {argument: (known | more)[argument] for argument in program.arg_names}
            cases.append(CompileCase("ssim", f"{name} {dtype}", program, used, warps))
    return cases
