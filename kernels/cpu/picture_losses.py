"""picture_losses.c: how far moved and composed pictures are from the next ones."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import torch

from terrarium.kernels.cpu.build import pointer

Tensor = torch.Tensor
SIDE, CELL = 256, 4  # as in picture_losses.c
NAMES = ("moved", "known", "mask", "drawn", "target", "after")


class Frames(ctypes.Structure):
    """`Frames` of picture_losses.c."""

    _fields_ = [
        ("at", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("kind", "batch", "time", "channel", "row", "column")),
    ]

    @classmethod
    def of(cls, x: Tensor) -> Frames:
        return cls(x.data_ptr(), int(x.dtype == torch.bfloat16), *x.stride())


class Pictures(ctypes.Structure):
    """`Pictures` of picture_losses.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "times", "height", "width")),
        *((name, Frames) for name in NAMES),
    ]

    @classmethod
    def of(cls, *given: Tensor) -> Pictures:
        b, t, _, height, width = given[0].shape
        return cls(b, t, height, width, *map(Frames.of, given))


class PictureLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, programs: ctypes.CDLL, *given: Tensor) -> Tensor:
        sums = torch.empty(given[0].shape[0] * given[0].shape[1], 5, dtype=torch.float64)
        programs.picture_losses_forward(byref(Pictures.of(*given)), pointer(sums), torch.get_num_threads())
        ctx.programs = programs
        ctx.save_for_backward(*given)
        # A mean over cells of means over 16 pixels divides the sums of cells by all pixels, too.
        found = torch.stack([sums[:, :2].sum(), sums[:, 2:4].sum(), sums[:, 4].sum()])
        return found.div(counts(*given[0].shape)).float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.saved_tensors
        b, t, _, height, width = given[0].shape
        grads = grad / counts(*given[0].shape).float()
        dmoved, *rest = (grad.new_empty(b, t, c, height, width) for c in (3, 1, 1))
        pointers = map(pointer, (grads, dmoved, *rest))
        ctx.programs.picture_losses_backward(byref(Pictures.of(*given)), *pointers, torch.get_num_threads())
        return None, dmoved, *rest, None, None, None


def counts(b: int, t: int, colours: int, height: int, width: int) -> Tensor:
    """Pixels, twice, and windows; colours apart."""
    windows = (height // CELL - 1) * (width // CELL - 1)
    return torch.tensor([height * width, height * width, windows], dtype=torch.float64) * (b * t * colours)


def takes_pictures(height: int, width: int) -> bool:
    """Whether the program holds pictures of this size."""
    return all(side <= SIDE and not side % CELL for side in (height, width))


def picture_losses(
    programs: ctypes.CDLL, moved: Tensor, known: Tensor, mask: Tensor, drawn: Tensor, target: Tensor, after: Tensor
) -> Tensor:
    """Pictures [B, T, 3, H, W] in [-.5, .5], known and mask [B, T, 1, H, W] -> the losses photometric, composed and
    contrast, fp32 [3]. Gradients go to moved, known and mask, which are fp32; all may have any strides."""
    return PictureLosses.apply(programs, moved, known, mask, drawn, target, after)
