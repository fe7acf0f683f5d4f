"""What to benchmark and what to compile of the LPIPS head (kernels/cases.py)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.kernels.cases import BenchCase, CompileCase, Inputs
from terrarium.kernels.lpips.fused import lpips_head


def published(f0: Tensor, f1: Tensor, weight: Tensor) -> Tensor:
    """The head step by step as the authors' implementation orders it: normalise, square, 1x1 convolution, mean."""
    u0 = f0 / (f0.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
    u1 = f1 / (f1.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
    return F.conv2d((u0 - u1) ** 2, weight.view(1, -1, 1, 1).to(u0.dtype)).mean(dim=(1, 2, 3))


def _make(batch: int, channels: int, side: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        size = (batch, channels, side, side)
        f0, f1 = (torch.rand(size, device=device).to(dtype, memory_format=torch.channels_last) for _ in range(2))
        return {"f0": f0.requires_grad_(), "f1": f1, "weight": torch.rand(channels, device=device)}

    return make


def _bench(name: str, size: tuple[int, int, int], *, backward: bool, cpu: bool) -> BenchCase:
    """Least traffic: forward reads both maps; backward reads both and writes one gradient."""
    return BenchCase(
        op="lpips",
        name=f"{name} {size[0]}x{size[1]}x{size[2]}x{size[2]} {'forward + backward' if backward else 'forward'}",
        make=_make(*size),
        naive=published,
        fused=lpips_head,
        traffic=lambda inputs: (5 if backward else 2) * inputs["f0"].numel() * inputs["f0"].element_size(),
        backward=backward,
        quick=cpu,
        cpu=cpu,
    )


BENCH = [
    _bench("vgg relu1_2 of 64 px", (8, 64, 64), backward=False, cpu=True),
    _bench("vgg relu1_2 of 64 px", (8, 64, 64), backward=True, cpu=True),
    _bench("vgg relu1_2 of 256 px", (16, 64, 256), backward=False, cpu=False),
    _bench("vgg relu1_2 of 256 px", (16, 64, 256), backward=True, cpu=False),
    _bench("vgg relu3_3 of 256 px", (16, 256, 64), backward=True, cpu=False),
    _bench("vgg relu5_3 of 256 px", (16, 512, 16), backward=True, cpu=False),
]


def COMPILE() -> list[CompileCase]:
    from terrarium.kernels.lpips.triton_kernels import SIZES, blocks, lpips_head_bwd, lpips_head_fwd

    cases = []
    for dtype, channels, channels_last in (
        ("bf16", 64, True), ("bf16", 512, True), ("fp32", 512, True), ("fp16", 512, False),
    ):  # fmt: skip
        options = blocks(channels, channels_last, SIZES[channels_last])
        warps = options.pop("num_warps")
        maps = {"f0_ptr": f"*{dtype}:16", "f1_ptr": f"*{dtype}:16", "weight_ptr": "*fp32:16"}
        sizes = {"n_pixels": "i32:16", "n_channels": "i32:16"}
        layout = "channels-last" if channels_last else "NCHW"
        forward = maps | {"partial_ptr": "*fp32:16"} | sizes | options
        cases.append(CompileCase("lpips", f"fwd {dtype} C={channels} {layout}", lpips_head_fwd, forward, warps))
        for needs in ((True, False), (True, True)):
            gradients = {"grad_ptr": "*fp32:16", "df0_ptr": f"*{dtype}:16", "df1_ptr": f"*{dtype}:16"}
            backward = maps | gradients | sizes | {"NEED0": needs[0], "NEED1": needs[1]} | options
            name = f"bwd {dtype} C={channels} {layout} {sum(needs)} gradients"
            cases.append(CompileCase("lpips", name, lpips_head_bwd, backward, warps))
    return cases
