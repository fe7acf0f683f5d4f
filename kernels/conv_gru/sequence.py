"""A ConvGRU layer over a whole sequence: the x-part of all T steps in one convolution, then the recurrence."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from terrarium.kernels.conv_gru.fused import conv_gru_gates
from terrarium.kernels.conv_gru.implicit_gemm import conv_gates
from terrarium.kernels.conv_gru.naive import affine, film
from terrarium.kernels.conv_gru.reset_before import reset_gates, update_gate

Tensor = torch.Tensor


def conv_gru(
    x: Tensor,
    h: Tensor,
    x_conv: Tensor,
    h_conv: Tensor,
    *,
    x_norm: Tensor | None = None,
    x_bias: Tensor | None = None,
    h_norm: Tensor | None = None,
    h_bias: Tensor | None = None,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    reset: str = "after",
    implicit_gemm: bool = False,
) -> Tensor:
    """x [B, T, Cx, H, W], h [B, C, H, W] -> the state after each step [B, T, C, H, W], channels-last.

    x_conv [3C, Cx, k, k] and h_conv [3C, C, k, k], k odd, edges padded with zeros; x_norm, x_bias, h_norm, h_bias [3C];
    scale, shift [B, T, 3C]: as in `conv_gru_gates`. reset: "after" or "before" the recurrent convolution.
    implicit_gemm: convolution and gates of a step in one program; an experiment (implicit_gemm.py has its limits).
    Raises ValueError as the gates do, for another `reset`, and for h_norm with reset="before", where the gates' and
    the candidate's channels are never there together.
    """
    if reset not in ("after", "before"):
        raise ValueError(f"reset is {reset!r}; expected 'after' or 'before'")
    if reset == "before" and h_norm is not None:
        raise ValueError("h_norm is given with reset='before'; expected None")
    if implicit_gemm and (reset == "before" or h_norm is not None):
        raise ValueError(f"implicit_gemm with reset={reset!r}, h_norm={h_norm is not None}; expected 'after', no norm")
    b, t = x.shape[:2]
    gx = F.conv2d(x.flatten(0, 1), x_conv, padding=x_conv.shape[-1] // 2)
    rows = {"x_norm": x_norm, "x_bias": x_bias}
    if reset == "before" or implicit_gemm:  # these steps take a finished x-part
        flat = [row if row is None else row.flatten(0, 1) for row in (scale, shift)]
        gx, rows, scale, shift = film(affine(gx, x_norm, x_bias), *flat), {}, None, None
    states = []
    for i, gx_i in enumerate(gx.unflatten(0, (b, t)).unbind(1)):
        if reset == "before":
            h = step_before(gx_i, h, h_conv, h_bias)
        elif implicit_gemm:
            h = conv_gates(gx_i, h, h_conv, h_bias)
        else:
            gh = F.conv2d(h, h_conv, padding=h_conv.shape[-1] // 2)
            films = {"scale": scale if scale is None else scale[:, i], "shift": shift if shift is None else shift[:, i]}
            h = conv_gru_gates(gx_i, gh, h, h_norm=h_norm, h_bias=h_bias, **rows, **films)
        states.append(h)
    return torch.stack([s.permute(0, 2, 3, 1) for s in states], dim=1).permute(0, 1, 4, 2, 3)


def step_before(gx: Tensor, h: Tensor, h_conv: Tensor, h_bias: Tensor | None) -> Tensor:
    """One reset-before step: gx [B, 3C, H, W], h [B, C, H, W] -> h'."""
    c, padding = h.shape[1], h_conv.shape[-1] // 2
    gate_bias, candidate_bias = (None, None) if h_bias is None else (h_bias[: 2 * c], h_bias[2 * c :])
    rh, z = reset_gates(gx[:, : 2 * c], F.conv2d(h, h_conv[: 2 * c], gate_bias, padding=padding), h)
    return update_gate(gx[:, 2 * c :], F.conv2d(rh, h_conv[2 * c :], candidate_bias, padding=padding), z, h)
