"""What an operator declares in its cases.py: BENCH, a list of BenchCase, and COMPILE, a function giving CompileCases.

`python -m terrarium.kernels.bench` and `python -m terrarium.kernels.report` find every folder of kernels/ that has a
cases.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from terrarium import kernels

Inputs = dict[str, Any]


@dataclass(frozen=True)
class BenchCase:
    """One measured call: `naive(**inputs)` against its compiled form against `fused(**inputs)`.

    make(device, dtype) -> the keyword arguments. With `backward` the time is that of one forward and backward pass for
    the sum of the result (of its first element where it is a tuple), with gradients to every floating input that asks
    for one. `traffic` is the least number of bytes that must cross the memory bus, (inputs) -> bytes: GB/s and the
    share of the ceiling come from it. `quick` cases are the ones that --quick runs; `cpu` ones also run without a GPU.
    """

    op: str
    name: str
    make: Callable[[torch.device, torch.dtype], Inputs]
    naive: Callable[..., Any]
    fused: Callable[..., Any]
    traffic: Callable[[Inputs], int]
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16)
    backward: bool = False
    quick: bool = False
    cpu: bool = True


@dataclass(frozen=True)
class CompileCase:
    """One Triton program compiled with no GPU at hand.

    arguments: name -> a type ("*bf16", "i32", "fp32"; ":16" behind it says divisible by 16, which 16-byte loads need)
    or the value of a constexpr. An int stride of 1 is a constexpr too, as in a launch.
    """

    op: str
    name: str
    program: Any  # the @triton.jit function
    arguments: dict[str, Any]
    num_warps: int = 4
    num_stages: int = 3
    tensor_cores: bool = False  # meant to use them


def operators() -> dict[str, ModuleType]:
    """Name -> its cases module, for every operator that has one."""
    found = {}
    for folder in pkgutil.iter_modules(kernels.__path__):
        name = f"{kernels.__name__}.{folder.name}.cases"
        if folder.ispkg and importlib.util.find_spec(name) is not None:
            found[folder.name] = importlib.import_module(name)
    return found
