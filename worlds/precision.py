"""What networks compute in, and what stays in fp32 all the same.

In bf16 (`computing_in`) convolutions and matrix products take operands of 8 significant bits. Weights, gradients, the
optimizer's state and the EMA stay in fp32, and so does whatever a rounding would turn into another place, another
draw or another figure: the flow and its sampling coordinates, Gumbel noise, log-probabilities, losses, codebook
statistics, LPIPS. Such code widens what it is given (`wide`), or turns autocast off (`in_full`).

TERRARIUM_PRECISION is training's precision: `fp32`, `bf16`, or `auto`, which is what an empty one means: bf16 on CUDA
and on processors with a bf16 unit, fp32 elsewhere. `bf16` is obeyed without a unit too: the same arithmetic at about
a third of the speed of fp32. Evaluation computes in fp32 unless its caller asks for bf16, so that figures do not depend
on the processor. The compiled step of live play computes in bf16 where that was measured to pay (world_model/forms.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn

Precision = Literal["fp32", "bf16"]
M = TypeVar("M", bound=nn.Module)
SWITCH = "TERRARIUM_PRECISION"


def precision_asked() -> str:
    return os.environ.get(SWITCH) or "auto"


def training_precision(device: torch.device) -> Precision:
    """What the environment asks for. ValueError for a value that is none of the three."""
    asked = precision_asked()
    pays = device.type == "cuda" or (device.type == "cpu" and cpu_has_bf16())
    found: dict[str, Precision] = {"auto": "bf16" if pays else "fp32", "fp32": "fp32", "bf16": "bf16"}
    if asked not in found:
        raise ValueError(f"{SWITCH} is {asked!r}; expected auto, fp32 or bf16")
    return found[asked]


def cpu_has_bf16() -> bool:
    """Whether bf16 pays here: without AVX512-BF16 or AMX a bf16 convolution ran at a third of the speed of fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def play_precisions(asked: str, has_unit: bool) -> tuple[Precision, ...]:
    """What a compiled live step may compute in on a processor with or without a bf16 unit, where SWITCH asks for that;
    of two, measurements choose. ValueError for a value that is none of the three."""
    found: dict[str, tuple[Precision, ...]] = {
        "auto": ("fp32", "bf16") if has_unit else ("fp32",),
        "fp32": ("fp32",),
        "bf16": ("bf16",),
    }
    if asked not in found:
        raise ValueError(f"{SWITCH} is {asked!r}; expected auto, fp32 or bf16")
    return found[asked]


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Where fp32 networks compute in `precision`. ValueError for another word than the two."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision {precision!r}: expected {' or '.join(get_args(Precision))}")
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def precision_now(device: torch.device) -> Precision:
    """What networks compute in where this is called."""
    on = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    return "bf16" if on else "fp32"


def casting_anew(device: torch.device) -> AbstractContextManager[Any]:
    """As where it is called, but weights are rounded each time that they are used. Autocast keeps what it rounded, even
    under no_grad, without a gradient: so for code that uses weights with and without, or changes them on the way."""
    on = precision_now(device) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=on, cache_enabled=False)


def in_full(x: torch.Tensor) -> AbstractContextManager[Any]:
    """Without autocast on the device of `x`: operands are taken in the precision that they have."""
    if precision_now(x.device) == "fp32":
        return nullcontext()  # and nothing of it in an exported graph
    return torch.autocast(x.device.type, enabled=False)


def wide(x: torch.Tensor) -> torch.Tensor:
    """fp16 and bf16 as fp32; fp32 and fp64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def as_taken(x: torch.Tensor) -> torch.Tensor:
    """As a convolution takes it here. Rounded part by part, what is put together is copied in half the memory."""
    return x if precision_now(x.device) == "fp32" else x.to(torch.get_autocast_dtype(x.device.type))


def convolving_in_bf16(module: M) -> M:
    """The module, its convolutions' weights rounded for good: they take bf16 and give fp32, and all else is as it was.

    For a model that is only run: autocast would round them again in each step.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            for p in part.parameters():
                p.data = p.data.bfloat16()
            part.register_forward_pre_hook(lambda _, given: tuple(x.bfloat16() for x in given))
            part.register_forward_hook(lambda *called: called[-1].float())
    return module


class FullWeights(nn.Module):
    """A module that refuses `bfloat16()`, `half()` and `to(dtype)` of either: ValueError.

    In bf16 an optimizer's step is mostly smaller than a weight's last bit, and an EMA's always is.
    """

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        asked = fn(torch.empty(0)).dtype
        if asked in (torch.bfloat16, torch.float16):
            raise ValueError(
                f"{type(self).__name__} in {asked}: its weights stay in torch.float32; for bf16 arithmetic run it "
                f"under torch.autocast, or train with {SWITCH}=bf16"
            )
        return super()._apply(fn, recurse)
