"""What to benchmark and what to compile of the nearest code (kernels/cases.py)."""

from __future__ import annotations

from functools import partial

import torch

from terrarium.kernels.cases import BenchCase, CompileCase, Inputs
from terrarium.kernels.vq.fused import vector_quantize
from terrarium.kernels.vq.naive import vector_quantize as naive


def _make(device: torch.device, dtype: torch.dtype, *, n: int, k: int, d: int) -> Inputs:
    return {"x": torch.randn(n, d, device=device).to(dtype), "codebook": torch.randn(k, d, device=device).to(dtype)}


def _traffic(inputs: Inputs) -> int:
    """Both inputs, the codes and the rows chosen."""
    x, codebook = inputs["x"], inputs["codebook"]
    return (2 * x.numel() + codebook.numel()) * x.element_size() + 8 * len(x)


def _bench(n: int, k: int, d: int, *, cpu: bool) -> BenchCase:
    make = partial(_make, n=n, k=k, d=d)
    return BenchCase("vq", f"N={n} K={k} D={d}", make, naive, vector_quantize, _traffic, quick=cpu, cpu=cpu)


BENCH = [
    _bench(2048, 512, 16, cpu=True),
    _bench(16384, 1024, 32, cpu=False),
    _bench(16384, 8192, 32, cpu=False),
    _bench(16384, 1024, 256, cpu=False),
]


def COMPILE() -> list[CompileCase]:
    from terrarium.kernels.vq.triton_kernels import blocks, vq_fwd

    cases = []
    names = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    for name, d in (("bf16", 32), ("fp16", 256), ("fp32", 32), ("fp32", 256)):
        dtype = names[name]
        options = blocks(dtype, d, torch.device("cpu"))
        warps = options.pop("num_warps")
        vectors = {f"{of}_ptr": f"*{name}:16" for of in ("x", "codebook", "quantised")}
        others = {"half_ptr": "*fp32:16", "codes_ptr": "*i64:16", "n_rows": "i32:16", "n_codes": "i32:16"}
        arguments = vectors | others | options
        half = dtype.itemsize == 2
        cases.append(CompileCase("vq", f"{name} D={d}", vq_fwd, arguments, warps, tensor_cores=half))
    return cases
