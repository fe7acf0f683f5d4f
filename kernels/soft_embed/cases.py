"""What to benchmark and what to compile of the Gumbel softmax to an embedding (kernels/cases.py)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.kernels.cases import BenchCase, CompileCase, Inputs
from terrarium.kernels.soft_embed.fused import soft_embed


def gumbel_softmax(logits: Tensor, codebook: Tensor, seed: Tensor, tau: float) -> Tensor:
    """PyTorch's own, with its own noise: the seed is not used."""
    return F.gumbel_softmax(logits.float(), tau, dim=1).to(codebook.dtype) @ codebook


def _make(device: torch.device, dtype: torch.dtype, *, n: int, k: int, d: int) -> Inputs:
    logits = torch.randn(n, k, device=device).to(dtype).requires_grad_()
    codebook = torch.randn(k, d, device=device).to(dtype).requires_grad_()
    return {"logits": logits, "codebook": codebook, "seed": torch.tensor(7, device=device), "tau": 1.0}


def _traffic(inputs: Inputs, *, backward: bool) -> int:
    """Logits and codebook in, rows out; backward the same again, and a gradient of each."""
    logits, codebook = inputs["logits"], inputs["codebook"]
    rows = len(logits) * codebook.shape[1]
    numbers = logits.numel() + codebook.numel() + rows
    return (3 * numbers if backward else numbers) * logits.element_size()


def _bench(n: int, k: int, d: int, *, backward: bool, cpu: bool) -> BenchCase:
    return BenchCase(
        op="soft_embed",
        name=f"N={n} K={k} D={d} {'forward + backward' if backward else 'forward'}",
        make=partial(_make, n=n, k=k, d=d),
        naive=gumbel_softmax,
        fused=soft_embed,
        traffic=partial(_traffic, backward=backward),
        backward=backward,
        quick=cpu,
        cpu=cpu,
    )


BENCH = [
    _bench(2048, 512, 16, backward=False, cpu=True),
    _bench(2048, 512, 16, backward=True, cpu=True),
    _bench(16384, 1024, 32, backward=False, cpu=False),
    _bench(16384, 1024, 32, backward=True, cpu=False),
    _bench(16384, 8192, 32, backward=True, cpu=False),
]


def COMPILE() -> list[CompileCase]:
    from terrarium.kernels.soft_embed import triton_kernels as programs

    cases = []
    for dtype, d in (("bf16", 32), ("fp16", 256), ("fp32", 128)):
        options = programs.blocks(d, torch.device("cpu"))
        warps = options.pop("num_warps")
        pointers = ("grad", "out", "logits", "codebook", "dlogits")
        arguments: dict[str, Any] = {f"{name}_ptr": f"*{dtype}:16" for name in pointers}
        arguments |= {"lse_ptr": "*fp32:16", "partial_ptr": "*fp32:16", "seed_ptr": "*i64:16", "inverse_tau": "fp32"}
        arguments |= {"n_rows": "i32:16", "n_codes": "i32:16", "rows_a_split": "i32:16"} | options
        for program in (
            programs.soft_embed_fwd, programs.soft_embed_bwd_logits, programs.soft_embed_bwd_codebook,
        ):  # fmt: skip
            name = f"{program.__name__.removeprefix('soft_embed_')} {dtype} D={d}"
            used = {argument: arguments[argument] for argument in program.arg_names}
            cases.append(CompileCase("soft_embed", name, program, used, warps, tensor_cores=dtype != "fp32"))
    return cases
