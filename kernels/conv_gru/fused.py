"""The gates as operators: terrarium::conv_gru_gates and its backward. Maths and names: naive.py.

For the backward a step keeps r, z, n, Gh_n and h (5 values a channel and cell) where the gates have no norm and no
scale; with one, gx, gh and h (7 instead of 17 in eager PyTorch, where the norms and the FiLM keep theirs), and the
backward computes the gates again. Gradients of gradients are not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from terrarium.kernels.conv_gru import naive
from terrarium.kernels.op import (
    check_floating,
    check_one_device,
    check_shape,
    empty_channels_last,
    operator,
    runs_triton,
)

Tensor = torch.Tensor
MAX_CHANNELS = 1024  # a program holds all channels of a cell


def conv_gru_gates(
    gx: Tensor,
    gh: Tensor,
    h: Tensor,
    *,
    x_norm: Tensor | None = None,
    x_bias: Tensor | None = None,
    h_norm: Tensor | None = None,
    h_bias: Tensor | None = None,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
) -> Tensor:
    """gx, gh [B, 3C, H, W] in the order r, z, n; h [B, C, H, W] -> h' [B, C, H, W] (naive.py has the equations).

    x_norm, x_bias, h_norm, h_bias [3C]; scale, shift [B, 3C]. Dtypes may differ; h' has the widest of gx, gh and h.
    CUDA tensors take the Triton programs, which write channels-last, any other device the naive path.
    Raises ValueError for a dtype that is not floating, for two devices, for a shape that does not fit, and on CUDA for
    C > 1024.
    """
    rows = [x_norm, x_bias, h_norm, h_bias, scale, shift]
    names = dict(zip(("x_norm", "x_bias", "h_norm", "h_bias", "scale", "shift"), rows, strict=True))
    b, c, height, width = sizes(h)
    check_floating(gx=gx, gh=gh, h=h, **names)
    check_one_device(h=h, gx=gx, gh=gh, **names)
    for name, x in (("gx", gx), ("gh", gh)):
        check_shape(name, x, (b, 3 * c, height, width))
    for name, row in names.items():
        check_shape(name, row, (b, 3 * c) if name in ("scale", "shift") else (3 * c,))
    if not runs_triton(h):
        return naive.conv_gru_gates(gx, gh, h, **names)
    if c > MAX_CHANNELS:
        raise ValueError(f"h has {c} channels; expected at most {MAX_CHANNELS} on {h.device.type}")
    trains = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in [gx, gh, h, *rows])
    keep = trains and x_norm is None and h_norm is None and scale is None
    return _gates(gx, gh, h, *[None if x is None else x.contiguous() for x in rows], keep)[0]


def sizes(h: Tensor) -> tuple[int, int, int, int]:
    if h.dim() != 4:
        raise ValueError(f"h has shape {list(h.shape)}; expected [B, C, H, W]")
    b, c, height, width = h.shape
    return b, c, height, width


@operator("terrarium::conv_gru_gates")
def _gates(
    gx: Tensor,
    gh: Tensor,
    h: Tensor,
    x_norm: Tensor | None,
    x_bias: Tensor | None,
    h_norm: Tensor | None,
    h_bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    from terrarium.kernels.conv_gru.launch import forward

    return forward(gx, gh, h, [x_norm, x_bias, h_norm, h_bias, scale, shift], keep, widest(gx, gh, h))


@_gates.register_fake
def _(gx, gh, h, x_norm, x_bias, h_norm, h_bias, scale, shift, keep):
    c, dtype = h.shape[1], widest(gx, gh, h)
    gates = empty_channels_last(h, 4 * c, dtype) if keep else h.new_empty(0, dtype=dtype)
    return empty_channels_last(h, c, dtype), gates


@operator("terrarium::conv_gru_gates_bwd")
def _gates_bwd(
    dout: Tensor,
    gates: Tensor | None,
    gx: Tensor | None,
    gh: Tensor | None,
    h: Tensor,
    x_norm: Tensor | None,
    x_bias: Tensor | None,
    h_norm: Tensor | None,
    h_bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    gx_dtype: torch.dtype,
    gh_dtype: torch.dtype,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    from terrarium.kernels.conv_gru.launch import backward

    rows = [x_norm, x_bias, h_norm, h_bias, scale, shift]
    return backward(dout, gates, gx, gh, h, rows, (gx_dtype, gh_dtype), needs[:3], sums_needed(needs))


@_gates_bwd.register_fake
def _(dout, gates, gx, gh, h, x_norm, x_bias, h_norm, h_bias, scale, shift, gx_dtype, gh_dtype, needs):
    b, c = h.shape[:2]
    wide = torch.float64 if torch.float64 in (gx_dtype, gh_dtype, h.dtype) else torch.float32
    maps = (
        empty_channels_last(h, n * c, dtype) if need else h.new_empty(0, dtype=dtype)
        for n, dtype, need in zip((3, 3, 1), (gx_dtype, gh_dtype, h.dtype), needs[:3], strict=True)
    )
    sums = (h.new_empty((b, 2, 3 * c) if need else (0,), dtype=wide) for need in sums_needed(needs))
    return *maps, *sums


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    gx, gh, h, *rows, keep = inputs
    ctx.dtypes = gx.dtype, gh.dtype
    ctx.set_materialize_grads(False)  # else the kept gates, which no one differentiates, get a gradient of zeros
    if keep:
        ctx.save_for_backward(output[1], None, None, h, *rows)
    else:
        ctx.save_for_backward(None, gx, gh, h, *rows)


def _backward(ctx: Any, dout: Tensor | None, dgates: None) -> tuple[Tensor | None, ...]:
    if dout is None:
        return (None,) * 10
    saved, needs = ctx.saved_tensors, ctx.needs_input_grad[:9]
    *maps, x_sums, h_sums = _gates_bwd(dout, *saved, *ctx.dtypes, needs)
    found = [*maps, *row_gradients(saved[4:], x_sums, h_sums)]
    return *(x if need else None for x, need in zip(found, needs, strict=True)), None


def sums_needed(needs: Sequence[bool]) -> tuple[bool, bool]:
    """Of the x part and of the h part, by which of gx, gh, h and the rows need a gradient."""
    x_norm, x_bias, h_norm, h_bias, scale, shift = needs[3:]
    return x_norm or x_bias or scale or shift, h_norm or h_bias


def row_gradients(rows: tuple[Tensor | None, ...], x_sums: Tensor, h_sums: Tensor) -> list[Tensor | None]:
    """The gradients of x_norm, x_bias, h_norm, h_bias, scale, shift from the sums [B, 2, 3C] of d and of d * x, where
    d is the gradient to the gates' sum and x the normalised input."""
    x_norm, x_bias, _, _, scale, _ = rows
    found: list[Tensor | None] = [None] * 6
    if x_sums.dim() > 1:
        d, dx = x_sums.unbind(1)
        inner, inner_x = (d, dx) if scale is None else (d * scale, dx * scale)
        product = dx if x_norm is None else dx * x_norm  # d times what scale multiplies
        product = product if x_bias is None else product + d * x_bias
        found = [inner_x.sum(0), inner.sum(0), None, None, product, d]
    if h_sums.dim() > 1:
        found[2:4] = h_sums[:, 1].sum(0), h_sums[:, 0].sum(0)
    return [None if row is None or x is None else x.to(row.dtype) for row, x in zip(rows, found, strict=True)]


def widest(gx: Tensor, gh: Tensor, h: Tensor) -> torch.dtype:
    return torch.promote_types(torch.promote_types(gx.dtype, gh.dtype), h.dtype)


_gates.register_autograd(_backward, setup_context=_setup)
