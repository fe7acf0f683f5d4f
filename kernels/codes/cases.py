"""What to benchmark and what to compile of the choosing of codes (kernels/cases.py)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from terrarium.kernels.cases import BenchCase, CompileCase, Inputs
from terrarium.kernels.codes import fused, naive

FACTORS = (8, 5, 5, 5)


def _make(device: torch.device, dtype: torch.dtype, *, batch: int, side: int, factors: tuple[int, ...]) -> Inputs:
    """Channels-last logits as a head leaves them, half of the codes chosen."""
    cells = (batch, side, side)
    logits = torch.randn(*cells, sum(factors)).permute(0, 3, 1, 2).to(device, dtype)
    chosen = (torch.rand(cells) < 0.5).to(device)
    return {
        "logits": logits,
        "noise": torch.empty_like(logits).exponential_(),
        "temperature": torch.ones(batch, device=device),
        "codes": torch.zeros(cells, dtype=torch.int64, device=device),
        "chosen": chosen,
        "factors": factors,
    }


def _traffic(inputs: Inputs) -> int:
    """Logits and noise, codes in and out, what is chosen, and nats in fp32."""
    return 2 * inputs["logits"].numel() * inputs["logits"].element_size() + 21 * inputs["codes"].numel()


def _bench(batch: int, side: int, *, factors: tuple[int, ...] = FACTORS, cpu: bool = False) -> BenchCase:
    make = partial(_make, batch=batch, side=side, factors=factors)
    name = f"{batch}x{side}x{side} of {'x'.join(map(str, factors))}"
    return BenchCase("codes", name, make, naive.draw_codes, fused.draw_codes, _traffic, quick=cpu, cpu=cpu)


BENCH = [_bench(1, 16, cpu=True), _bench(64, 16), _bench(64, 16, factors=(512,))]


def COMPILE() -> list[CompileCase]:
    import triton.language as tl

    from terrarium.kernels.codes.triton_kernels import blocks, draw_codes_fwd

    cases = []
    for dtype, factors in (("fp32", FACTORS), ("bf16", FACTORS), ("fp32", (512,))):
        options = blocks(factors, torch.device("cpu"))
        warps = options.pop("num_warps")
        arguments: dict[str, Any] = {f"{name}_ptr": f"*{dtype}:16" for name in ("logits", "noise")}
        arguments |= {"temperature_ptr": "*fp32:16", "codes_ptr": "*i64:16", "chosen_ptr": "*i8:16"}
        arguments |= {"out_ptr": "*i64:16", "nats_ptr": "*fp32:16", "cells": "i32:16"}
        arguments |= {f"{of}_{axis}": 1 if axis == "c" else "i32" for of in ("logits", "noise") for axis in "bcm"}
        arguments |= {"FACTORS": factors, "COUNT": len(factors), "ACC": tl.float32} | options
        name = f"{dtype} {'x'.join(map(str, factors))}"
        cases.append(CompileCase("codes", name, draw_codes_fwd, arguments, warps))
    return cases
