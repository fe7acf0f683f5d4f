"""What to measure and what to compile of the ConvGRU; see kernels/cases.py."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import torch

from terrarium.kernels.cases import BenchCase, CompileCase, Inputs
from terrarium.kernels.conv_gru import fused, naive

ALL_ROWS = ("x_norm", "x_bias", "h_norm", "h_bias", "scale", "shift")
Names = tuple[str, ...]


def gates_inputs(
    device: torch.device, dtype: torch.dtype, *, b: int, c: int, size: int, rows: Names, grad: bool
) -> Inputs:
    """Channels-last maps as a convolution leaves them, and the rows that are asked for."""
    maps = {"gx": 3 * c, "gh": 3 * c, "h": c}
    inputs = {name: torch.randn(b, size, size, n).permute(0, 3, 1, 2) for name, n in maps.items()}
    for name in rows:
        inputs[name] = torch.randn((b, 3 * c) if name in ("scale", "shift") else (3 * c,))
    return {name: x.to(device, dtype).requires_grad_(grad) for name, x in inputs.items()}


def gates_traffic(values: int, inputs: Inputs) -> int:
    """`values` for each channel and cell of h."""
    return values * inputs["h"].numel() * inputs["h"].element_size()


def gates_case(
    name: str, b: int, size: int, rows: Names = (), *, backward: bool = False, quick: bool = False
) -> BenchCase:
    """Forward reads 7 values a channel and cell and writes h': 8. Forward and backward also write 4 and read the 5
    kept ones and dh', and write 7: 25; where the gates are computed again: 8 + 8 + 7 = 23."""
    values = 8 if not backward else 23 if rows else 25
    return BenchCase(
        op="conv_gru",
        name=name,
        make=partial(gates_inputs, b=b, c=128, size=size, rows=rows, grad=backward),
        naive=naive.conv_gru_gates,
        fused=fused.conv_gru_gates,
        traffic=partial(gates_traffic, values),
        backward=backward,
        quick=quick,
        cpu=b * size * size <= 8192,
    )


BENCH = [
    gates_case("live 1x128x16x16", 1, 16, quick=True),
    gates_case("norm, live 1x128x16x16", 1, 16, ("h_norm", "h_bias")),
    gates_case("train 32x128x16x16", 32, 16),
    gates_case("train 32x128x16x16 fwd+bwd", 32, 16, backward=True),
    gates_case("norm, FiLM, train 32x128x16x16 fwd+bwd", 32, 16, ALL_ROWS, backward=True),
    gates_case("train 64x128x64x64", 64, 64),
    gates_case("train 64x128x64x64 fwd+bwd", 64, 64, backward=True),
    gates_case("norm, FiLM, train 64x128x64x64 fwd+bwd", 64, 64, ALL_ROWS, backward=True),
]


def gates_arguments(program: str, c: int, kind: str, rows: Names) -> dict[str, Any]:
    """As a launch on channels-last tensors passes them: a channel's stride is 1, the others multiples of 16."""
    from terrarium.kernels.conv_gru.launch import BACKWARD, FORWARD, blocks

    keep = not {"x_norm", "h_norm", "scale"} & set(rows)
    maps = ["gx", "gh", "h"] if program == "fwd" else ["dout", "gx", "gh", "h"]
    given = [*maps, "out", "dgx", "dgh", "dh", *rows, *(["gates"] if keep else [])]
    if program == "bwd" and keep:
        given = [name for name in given if name not in ("gx", "gh")]
    options = blocks(c, 4096, FORWARD if program == "fwd" else BACKWARD)
    pointers = [*maps, "out", "dgx", "dgh", "dh", "gates", *ALL_ROWS]
    arguments: dict[str, Any] = {f"{name}_ptr": f"*{kind}:16" if name in given else None for name in pointers}
    arguments["x_sums_ptr"] = "*fp32:16" if set(rows) - {"h_norm", "h_bias"} else None
    arguments["h_sums_ptr"] = "*fp32:16" if set(rows) & {"h_norm", "h_bias"} else None
    for name, axis in itertools.product(maps, "bcm"):
        arguments[f"{name}_{axis}"] = 1 if axis == "c" else "i32:16"
    return arguments | {"cells": "i32:16", "C": c, "ACC": accumulator()} | options


def accumulator() -> Any:
    import triton.language as tl

    return tl.float32


def reset_before_cases(c: int, kind: str) -> list[CompileCase]:
    from terrarium.kernels.conv_gru import reset_before_kernels as programs
    from terrarium.kernels.conv_gru.launch import FORWARD, blocks

    options = blocks(c, 4096, FORWARD)
    warps = options.pop("num_warps")
    cases = []
    for program in (programs.reset_fwd, programs.reset_bwd, programs.update_fwd, programs.update_bwd):
        arguments: dict[str, Any] = {name: f"*{kind}:16" for name in program.arg_names if name.endswith("_ptr")}
        arguments |= {name: "i32:16" for name in program.arg_names if name.endswith(("_b", "_m"))}
        arguments |= {name: 1 for name in program.arg_names if name.endswith("_c")}
        arguments |= {"cells": "i32:16", "C": c, "ACC": accumulator()} | options
        cases.append(CompileCase("conv_gru", f"{program.__name__} C={c} {kind}", program, arguments, warps))
    return cases


def COMPILE() -> list[CompileCase]:
    from terrarium.kernels.conv_gru.triton_kernels import gates_bwd, gates_fwd

    forms: dict[str, Names] = {"": (), " h_norm": ("h_norm", "h_bias"), " all rows": ALL_ROWS}
    sizes = [(128, "bf16"), (512, "bf16"), (128, "fp32")]
    cases = []
    for (c, kind), (form, rows) in itertools.product(sizes, forms.items()):
        for name, fn in (("fwd", gates_fwd), ("bwd", gates_bwd)):
            arguments = gates_arguments(name, c, kind, rows)
            warps = arguments.pop("num_warps")
            cases.append(CompileCase("conv_gru", f"gates_{name}{form} C={c} {kind}", fn, arguments, warps))
    return [*cases, *reset_before_cases(128, "bf16")]
