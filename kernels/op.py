"""What the operators share: where their programs run, and the checks that a public function makes once.

An operator is registered like this (fused.py of each folder):

    @operator("terrarium::name")                             # runs with its first tensor's device as the current one
    def _name(x: Tensor, ...) -> Tensor:
        from terrarium.kernels.name.triton_kernels import forward     # triton is loaded here, not at import
        return forward(x, ...)

    @_name.register_fake                                     # shapes and strides that `forward` really returns
    @operator("terrarium::name_bwd")                         # the backward is an operator too
    _name.register_autograd(backward, setup_context=setup)

    def name(x, ...):                                        # public, the signature of naive.py
        check_...(...)
        return _name(x, ...) if runs_triton(x) else naive.name(x, ...)

Under TRITON_INTERPRET=1 the programs also run on CPU tensors, in Triton's interpreter: that is how gradcheck, opcheck,
compile and export are tested without a GPU. Otherwise CPU tensors take the naive path, which Inductor can fuse.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.library import CustomOpDef, custom_op, infer_schema

INTERPRET = os.environ.get("TRITON_INTERPRET", "0") == "1"
DEVICES = ("cuda", "cpu") if INTERPRET else ("cuda",)
FLOATING = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def runs_triton(x: torch.Tensor) -> bool:
    return x.device.type in DEVICES


def on_device_of(x: torch.Tensor) -> AbstractContextManager[object]:
    """Triton launches on the current CUDA device, which need not be that of `x`."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def multiprocessors(device: torch.device) -> int:
    """How many programs run at once, but for several on one; 1 in the interpreter."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def operator(name: str) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Registers a function of tensors as an operator that mutates none of them, on DEVICES."""

    def register(function: Callable[..., Any]) -> CustomOpDef:
        @functools.wraps(function)
        def launch(*args: Any) -> Any:
            with on_device_of(next(x for x in args if isinstance(x, torch.Tensor))):
                return function(*args)

        schema = infer_schema(function, mutates_args=())
        return custom_op(name, launch, mutates_args=(), device_types=DEVICES, schema=schema)

    return register


def check_floating(**tensors: torch.Tensor | None) -> None:
    """ValueError unless every tensor given is float32, float16, bfloat16 or float64."""
    for name, x in tensors.items():
        if x is not None and x.dtype not in FLOATING:
            raise ValueError(f"{name} is {x.dtype}; expected one of {', '.join(str(d) for d in FLOATING)}")


def check_one_device(**tensors: torch.Tensor | None) -> None:
    """ValueError unless all tensors given lie on the device of the first."""
    given = [(name, x) for name, x in tensors.items() if x is not None]
    first, x = given[0]
    for name, y in given[1:]:
        if y.device != x.device:
            raise ValueError(f"{name} is on {y.device}, {first} on {x.device}; expected one device")


def check_shape(name: str, x: torch.Tensor | None, expected: tuple[int, ...]) -> None:
    """ValueError unless `x` is None or has the shape `expected`."""
    if x is not None and tuple(x.shape) != tuple(expected):
        raise ValueError(f"{name} has shape {list(x.shape)}; expected {list(expected)}")


def check_index(**tensors: torch.Tensor) -> None:
    """ValueError for a tensor of 2**31 numbers or more, where a program counts them in int32."""
    for name, x in tensors.items():
        if x.numel() >= 2**31:
            raise ValueError(f"{name} has shape {list(x.shape)}, {x.numel()} numbers; expected less than 2**31")


def cells_of(x: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """x [B, C, H, W] and its strides a sample, a channel and a cell; copied to channels-last where H and W are not
    evenly spaced (a crop). Any other layout is read where it lies.

    Raises ValueError where a sample spans 2**31 elements or more: within one the programs count in int32.
    """
    height, width = x.shape[2:]
    even = height == 1 or width == 1 or x.stride(2) == width * x.stride(3)
    if not even:
        x = x.contiguous(memory_format=torch.channels_last)
    strides = (x.stride(0), x.stride(1), x.stride(2) if width == 1 else x.stride(3))
    span = (x.shape[1] - 1) * strides[1] + (height * width - 1) * strides[2]
    if span >= 2**31:
        raise ValueError(f"a sample of shape {list(x.shape[1:])} spans {span} elements; expected less than 2**31")
    return x, strides


def empty_channels_last(like: torch.Tensor, channels: int, dtype: torch.dtype) -> torch.Tensor:
    """[B, channels, H, W] for `like` [B, C, H, W], uninitialised, its channels contiguous."""
    b, _, height, width = like.shape
    return like.new_empty(b, height, width, channels, dtype=dtype).permute(0, 3, 1, 2)
