"""ConvGRU gates as the equations read (Ballas et al. 2016, arXiv:1511.06432).

Reset-after, one recurrent convolution, as in cuDNN's GRU: `conv_gru_gates`.

    r, z = sigmoid(Gx_r + Gh_r), sigmoid(Gx_z + Gh_z)
    n    = tanh(Gx_n + r * Gh_n)
    h'   = (1 - z) * n + z * h

Reset-before, as in the paper: `reset_gates`, then the convolution of r * h that gives gh, then `update_gate`.

    r, z = sigmoid(Gx_r + Gh_r), sigmoid(Gx_z + Gh_z)
    n    = tanh(Gx_n + Conv(r * h))
    h'   = (1 - z) * n + z * h
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

EPS = 1e-5  # of the layer norm
Tensor = torch.Tensor


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
    """gx, gh [B, 3C, H, W] in the order r, z, n; h [B, C, H, W] -> h' [B, C, H, W].

    Gx = (affine of gx) * scale + shift, Gh = affine of gh. The affine is + bias [3C]; with a norm [3C] it is the layer
    norm over the 3C channels of each cell, times norm, + bias. scale, shift: FiLM [B, 3C] (Perez et al. 2018,
    arXiv:1709.07871).
    """
    c = h.shape[1]
    x = film(affine(gx, x_norm, x_bias), scale, shift)
    y = affine(gh, h_norm, h_bias)
    x_rz, x_n = x.split([2 * c, c], dim=1)  # split, not slices: its backward writes one gradient, not two to be added
    y_rz, y_n = y.split([2 * c, c], dim=1)
    r, z = torch.sigmoid(x_rz + y_rz).chunk(2, dim=1)
    n = torch.tanh(x_n + r * y_n)
    return n + z * (h - n)


def affine(g: Tensor, norm: Tensor | None, bias: Tensor | None) -> Tensor:
    """g [B, 3C, H, W]; in channels-last memory no copy is made."""
    if norm is not None:
        return F.layer_norm(g.permute(0, 2, 3, 1), norm.shape, norm, bias, EPS).permute(0, 3, 1, 2)
    return g if bias is None else g + bias[:, None, None]


def film(g: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    if scale is not None:
        g = g * scale[:, :, None, None]
    return g if shift is None else g + shift[:, :, None, None]


def reset_gates(gx: Tensor, gh: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """gx, gh [B, 2C, H, W] in the order r, z; h [B, C, H, W] -> r * h and z, [B, C, H, W] each."""
    r, z = torch.sigmoid(gx + gh).chunk(2, dim=1)
    return r * h, z


def update_gate(gx: Tensor, gh: Tensor, z: Tensor, h: Tensor) -> Tensor:
    """gx, gh, z, h [B, C, H, W] -> h' [B, C, H, W]."""
    n = torch.tanh(gx + gh)
    return n + z * (h - n)
