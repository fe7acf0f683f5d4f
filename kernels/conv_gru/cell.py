"""ConvGRU cells with layer norm as modules. With the input part known ahead, as under teacher forcing, `ResetAfter` or
`ResetBefore` is one step of the recurrence; `ConvGRUCell` takes the input itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.kernels.conv_gru.fused import conv_gru_gates
from terrarium.kernels.conv_gru.reset_before import reset_gates, update_gate


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each cell, [B, C, H, W]; in channels-last memory no copy is made."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class ResetAfter(nn.Module):
    """The recurrent part with one convolution, the reset gate applied to what comes out of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 3 * channels, 3, padding=1, bias=False)
        self.norm = ChannelNorm(3 * channels)

    def forward(self, gx: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """gx [B, 3C, H, W], h [B, C, H, W] -> h' [B, C, H, W]."""
        return conv_gru_gates(gx, self.conv(h), h, h_norm=self.norm.weight, h_bias=self.norm.bias)


class ResetBefore(nn.Module):
    """The original ConvGRU: the reset gate applied to the state, then a second convolution that waits for it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
        self.norm = ChannelNorm(2 * channels)
        self.candidate = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.candidate_norm = ChannelNorm(channels)

    def forward(self, gx: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """As in `ResetAfter`."""
        c = h.shape[1]
        reset, z = reset_gates(gx[:, : 2 * c], self.norm(self.conv(h)), h)
        return update_gate(gx[:, 2 * c :], self.candidate_norm(self.candidate(reset)), z, h)


class ConvGRUCell(nn.Module):
    """One reset-after step from the input itself: h = cell(x, h), both channels-last at best."""

    def __init__(self, x_channels: int, channels: int) -> None:
        super().__init__()
        self.input = nn.Conv2d(x_channels, 3 * channels, 3, padding=1)
        self.recurrent = ResetAfter(channels)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """x [B, Cx, H, W], h [B, C, H, W] -> h' [B, C, H, W]."""
        return self.recurrent(self.input(x), h)
