"""What the operators share: where their programs run, and the checks that a public function makes once.

An operator is registered like this (fused.py of each folder):

    @torch.library.custom_op("terrarium::name", mutates_args=(), device_types=DEVICES)
    def _name(x: Tensor, ...) -> Tensor:
        from kernels.name.triton_kernels import forward     # triton is loaded here, not at import
        return forward(x, ...)

    @_name.register_fake                                     # shapes and strides that `forward` really returns
    @torch.library.custom_op("terrarium::name_bwd", ...)     # the backward is an operator too
    _name.register_autograd(backward, setup_context=setup)

    def name(x, ...):                                        # public, the signature of naive.py
        check_...(...)
        return _name(x, ...) if runs_triton(x) else naive.name(x, ...)

Under TRITON_INTERPRET=1 the programs also run on CPU tensors, in Triton's interpreter: that is how gradcheck, opcheck,
compile and export are tested without a GPU. Otherwise CPU tensors take the naive path, which Inductor can fuse.
"""

from __future__ import annotations

import os

import torch

INTERPRET = os.environ.get("TRITON_INTERPRET", "0") == "1"
DEVICES = ("cuda", "cpu") if INTERPRET else ("cuda",)
FLOATING = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def runs_triton(x: torch.Tensor) -> bool:
    return x.device.type in DEVICES


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
