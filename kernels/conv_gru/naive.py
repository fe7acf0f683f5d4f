"""ConvGRU gates as the equations read (reset-after form; Ballas et al. 2016, arXiv:1511.06432, with the reset gate
applied after the recurrent convolution, as in cuDNN's GRU).

    r, z = sigmoid(Gx_r + Gh_r), sigmoid(Gx_z + Gh_z)
    n    = tanh(Gx_n + r * Gh_n)
    h'   = (1 - z) * n + z * h
"""

from __future__ import annotations

import torch


def conv_gru_gates(gx: torch.Tensor, gh: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """gx, gh: [B, 3C, H, W] in the order r, z, n; h: [B, C, H, W] -> h' [B, C, H, W]."""
    rz = torch.sigmoid(gx[:, : 2 * h.shape[1]] + gh[:, : 2 * h.shape[1]])
    r, z = rz.chunk(2, dim=1)
    n = torch.tanh(gx[:, 2 * h.shape[1] :] + r * gh[:, 2 * h.shape[1] :])
    return n + z * (h - n)
