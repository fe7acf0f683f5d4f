"""The two halves of a reset-before step as operators, with the convolution of r * h between them (naive.py).

For the backward a step keeps r, z, n and h, and the convolution its input r * h: 5 values a channel and cell.
"""

from __future__ import annotations

from typing import Any

import torch

from terrarium.kernels.conv_gru import naive
from terrarium.kernels.conv_gru.fused import MAX_CHANNELS, sizes, widest
from terrarium.kernels.op import (
    check_floating,
    check_one_device,
    check_shape,
    empty_channels_last,
    operator,
    runs_triton,
)

Tensor = torch.Tensor


def reset_gates(gx: Tensor, gh: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """gx, gh [B, 2C, H, W] in the order r, z; h [B, C, H, W] -> r * h and z, [B, C, H, W] each.

    Dtypes, devices and errors as in `conv_gru_gates`.
    """
    b, c, height, width = sizes(h)
    _check({"gx": gx, "gh": gh}, (b, 2 * c, height, width), h)
    if not runs_triton(h):
        return naive.reset_gates(gx, gh, h)
    return _reset(gx, gh, h, _trains(gx, gh, h))[:2]


def update_gate(gx: Tensor, gh: Tensor, z: Tensor, h: Tensor) -> Tensor:
    """gx, gh, z, h [B, C, H, W] -> h' [B, C, H, W]. Dtypes, devices and errors as in `conv_gru_gates`."""
    _check({"gx": gx, "gh": gh, "z": z}, sizes(h), h)
    if not runs_triton(h):
        return naive.update_gate(gx, gh, z, h)
    return _update(gx, gh, z, h, _trains(gx, gh, z, h))[0]


def _check(others: dict[str, Tensor], shape: tuple[int, ...], h: Tensor) -> None:
    check_floating(h=h, **others)
    check_one_device(h=h, **others)
    for name, x in others.items():
        check_shape(name, x, shape)
    if runs_triton(h) and h.shape[1] > MAX_CHANNELS:
        raise ValueError(f"h has {h.shape[1]} channels; expected at most {MAX_CHANNELS} on {h.device.type}")


def _trains(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def _map(h: Tensor, channels: int, dtype: torch.dtype, need: bool = True) -> Tensor:
    return empty_channels_last(h, channels, dtype) if need else h.new_empty(0, dtype=dtype)


@operator("terrarium::conv_gru_reset")
def _reset(gx: Tensor, gh: Tensor, h: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """-> r * h, z, and r for the backward (empty without `keep`)."""
    from terrarium.kernels.conv_gru.launch import run_cells
    from terrarium.kernels.conv_gru.reset_before_kernels import reset_fwd

    results = _reset_fake(gx, gh, h, keep)
    run_cells(reset_fwd, h.shape[1], [gx, gh, h], results)
    return results


@_reset.register_fake
def _reset_fake(gx: Tensor, gh: Tensor, h: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    dtype = widest(gx, gh, h)
    c = h.shape[1]
    return _map(h, c, dtype), _map(h, c, dtype), _map(h, c, dtype, keep)


@operator("terrarium::conv_gru_reset_bwd")
def _reset_bwd(
    drh: Tensor, dz: Tensor, r: Tensor, z: Tensor, h: Tensor, need_g: bool, need_h: bool
) -> tuple[Tensor, Tensor]:
    """-> the gradient to gx, which is that to gh, and the one to h; one that is not needed is empty."""
    from terrarium.kernels.conv_gru.launch import run_cells
    from terrarium.kernels.conv_gru.reset_before_kernels import reset_bwd

    results = _reset_bwd_fake(drh, dz, r, z, h, need_g, need_h)
    run_cells(reset_bwd, h.shape[1], [drh, dz, r, z, h], results)
    return results


@_reset_bwd.register_fake
def _reset_bwd_fake(
    drh: Tensor, dz: Tensor, r: Tensor, z: Tensor, h: Tensor, need_g: bool, need_h: bool
) -> tuple[Tensor, Tensor]:
    return _map(h, 2 * h.shape[1], r.dtype, need_g), _map(h, h.shape[1], h.dtype, need_h)


@operator("terrarium::conv_gru_update")
def _update(gx: Tensor, gh: Tensor, z: Tensor, h: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    """-> h', and n for the backward (empty without `keep`)."""
    from terrarium.kernels.conv_gru.launch import run_cells
    from terrarium.kernels.conv_gru.reset_before_kernels import update_fwd

    results = _update_fake(gx, gh, z, h, keep)
    run_cells(update_fwd, h.shape[1], [gx, gh, z, h], results)
    return results


@_update.register_fake
def _update_fake(gx: Tensor, gh: Tensor, z: Tensor, h: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(widest(gx, gh, h), z.dtype)
    return _map(h, h.shape[1], dtype), _map(h, h.shape[1], dtype, keep)


@operator("terrarium::conv_gru_update_bwd")
def _update_bwd(
    dout: Tensor, n: Tensor, z: Tensor, h: Tensor, need_g: bool, need_z: bool, need_h: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """-> the gradient to gx, which is that to gh, and those to z and h; one that is not needed is empty."""
    from terrarium.kernels.conv_gru.launch import run_cells
    from terrarium.kernels.conv_gru.reset_before_kernels import update_bwd

    results = _update_bwd_fake(dout, n, z, h, need_g, need_z, need_h)
    run_cells(update_bwd, h.shape[1], [dout, n, z, h], results)
    return results


@_update_bwd.register_fake
def _update_bwd_fake(
    dout: Tensor, n: Tensor, z: Tensor, h: Tensor, need_g: bool, need_z: bool, need_h: bool
) -> tuple[Tensor, Tensor, Tensor]:
    c = h.shape[1]
    return _map(h, c, n.dtype, need_g), _map(h, c, z.dtype, need_z), _map(h, c, h.dtype, need_h)


def _reset_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    gx, gh, h, _ = inputs
    ctx.dtypes = gx.dtype, gh.dtype
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[2], output[1], h)


def _reset_backward(ctx: Any, drh: Tensor | None, dz: Tensor | None, dr: None) -> tuple[Tensor | None, ...]:
    r, z, h = ctx.saved_tensors
    drh, dz = (torch.zeros_like(z) if d is None else d for d in (drh, dz))
    need_x, need_y, need_h, _ = ctx.needs_input_grad
    dg, dh = _reset_bwd(drh, dz, r, z, h, need_x or need_y, need_h)
    return *_both(dg, ctx.dtypes, need_x, need_y), dh if need_h else None, None


def _update_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    gx, gh, z, h, _ = inputs
    ctx.dtypes = gx.dtype, gh.dtype
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1], z, h)


def _update_backward(ctx: Any, dout: Tensor | None, dn: None) -> tuple[Tensor | None, ...]:
    if dout is None:
        return (None,) * 5
    n, z, h = ctx.saved_tensors
    need_x, need_y, need_z, need_h, _ = ctx.needs_input_grad
    dg, dz, dh = _update_bwd(dout, n, z, h, need_x or need_y, need_z, need_h)
    return *_both(dg, ctx.dtypes, need_x, need_y), dz if need_z else None, dh if need_h else None, None


def _both(
    dg: Tensor, dtypes: tuple[torch.dtype, torch.dtype], need_x: bool, need_y: bool
) -> tuple[Tensor | None, Tensor | None]:
    return dg.to(dtypes[0]) if need_x else None, dg.to(dtypes[1]) if need_y else None


_reset.register_autograd(_reset_backward, setup_context=_reset_setup)
_update.register_autograd(_update_backward, setup_context=_update_setup)
