"""One ConvGRU layer with action conditioning and a moving state.

Step t sees the tokens of frame t, the action that leads to frame t+1, and a state aligned with frame t:

    Gx = FiLM(Norm(Conv3x3(x)), action, place)        known for all T under teacher forcing: one convolution
    Gh = Norm(Conv3x3(h))                             the only convolution in the recurrence (reset-after)
    h' = gates(Gx, Gh, h)                             still aligned with frame t
    h  = warp(h', flow(h', action, place))            aligned with frame t+1: the prediction, and the next state

The state is warped after the gates, not before them: so `x` and `h` meet in one frame of reference, and a wall that
the flow moves over is where the next frame's tokens will show it. The flow is bounded and starts at zero.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.kernels import cpu
from terrarium.kernels.conv_gru import ChannelNorm, ResetAfter, ResetBefore
from terrarium.worlds.precision import in_full, wide

MAX_FLOW = 6.0  # cells a step; a full turn of the camera moves the picture by two, a step along a wall by four


def place_basis(height: int, width: int) -> torch.Tensor:
    """Low polynomials of the cell's position, [P, H, W], P = 8: what lets one action mean zoom here and slide there."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.stack([torch.ones_like(x), x, y, x * y, x * x, y * y, x.abs(), y.abs()])


PLACES = 8


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts as zero: FiLM (Perez et al. 2018, arXiv:1709.07871) that starts as the identity."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class ActionMap(nn.Module):
    """An action embedding times a place basis: [B, E] -> [B, out, H, W], zero at the start.

    `places` of the basis are used; with the first alone, which is 1 everywhere, the map is uniform.
    """

    def __init__(self, embed: int, out: int, places: int = PLACES) -> None:
        super().__init__()
        self.out, self.places = out, places
        self.linear = zero_linear(embed, out * places)

    def forward(self, action: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        cells = basis[: self.places].flatten(1).T @ self.weights(action)  # [B, HW, out]: channels-last
        return cells.view(-1, *basis.shape[1:], self.out).permute(0, 3, 1, 2)

    def weights(self, action: torch.Tensor) -> torch.Tensor:
        """[B, E] -> [B, places, out]."""
        return self.linear(action).view(-1, self.places, self.out)


@dataclass
class Parts:
    """What the programs of kernels/cpu make a layer's step of, besides the state. Of the action's maps the weights."""

    conv: torch.Tensor  # [B, 3C, H, W], of the input
    scale: torch.Tensor  # [B, 3C], and the shift's map
    shift: torch.Tensor  # [B, P, 3C]
    # Of a flow what its look is multiplied by [B, P, hidden] and `direct` [B, P, out]; else none.
    maps: list[torch.Tensor]
    cells: torch.Tensor  # [H, W, P], the place basis


class InputPart(nn.Module):
    """x [N, Cx, H, W], action [N, E] -> Gx [N, 3C, H, W]; N may be batch times time."""

    def __init__(self, x_channels: int, channels: int, embed: int, places: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(x_channels, 3 * channels, 3, padding=1)
        self.norm = ChannelNorm(3 * channels)
        self.scale = zero_linear(embed, 3 * channels)
        self.shift = ActionMap(embed, 3 * channels, places)
        with torch.no_grad():
            self.norm.bias[channels : 2 * channels] = 1.0  # z starts near .7: remember

    def forward(self, x: torch.Tensor, action: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        scale = 1 + self.scale(action)[:, :, None, None]
        return torch.addcmul(self.shift(action, basis), self.norm(self.convolve(x, basis)), scale)

    def convolve(self, x: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        """The convolution of x. Where x lacks the place basis, its last channels, that is the same for every sample: it
        is convolved once and added."""
        if x.shape[1] == self.conv.in_channels:
            return self.conv(x)
        own, place = self.conv.weight.split([x.shape[1], len(basis)], dim=1)
        same = F.conv2d(basis.unsqueeze(0), place, self.conv.bias, padding=1)
        return AddSame.apply(F.conv2d(x, own, padding=1), same)


class AddSame(torch.autograd.Function):
    """x [N, C, H, W], in place, plus the same [1, C, H, W] for every sample. Its gradient is summed over samples as
    a product, which in bf16 is far faster than `sum`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(x)
        return x.add_(same.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n, c, height, width = grad.shape
        flat = grad.permute(0, 2, 3, 1).reshape(n, -1)
        return grad, (flat.new_ones(1, n) @ flat).view(1, height, width, c).permute(0, 3, 1, 2)


class ConvGRULayer(nn.Module):
    """`inputs` is the hoisted part, `forward` one step of the recurrence."""

    def __init__(
        self,
        x_channels: int,
        channels: int,
        embed: int,
        *,
        flow: bool,
        fine: bool = False,
        context: bool = False,
        reset: Literal["after", "before"] = "after",
        places: int = PLACES,
    ) -> None:
        super().__init__()
        self.input = InputPart(x_channels, channels, embed, places)
        self.recurrent = ResetAfter(channels) if reset == "after" else ResetBefore(channels)
        self.flow = Flow(channels, embed, fine=fine, context=context, places=places) if flow else None

    def inputs(
        self, x: torch.Tensor, action: torch.Tensor, basis: torch.Tensor, times: int
    ) -> Sequence[torch.Tensor | Parts]:
        """x [BT, Cx, H, W], action [BT, E] -> the input part of each of T steps, mixed already or in parts."""
        if isinstance(self.recurrent, ResetAfter) and cpu.used(x, basis):
            return self._parts(x, action, basis, times)
        return self.input(x, action, basis).unflatten(0, (-1, times)).unbind(1)

    def forward(
        self, gx: torch.Tensor | Parts, h: torch.Tensor, action: torch.Tensor, basis: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A step of `inputs`, h [B, C, H, W], action [B, E] ->

        h' [B, C, H, W] aligned with the frame of gx, the same aligned with the next frame, and the flow between the
        two [B, 2G, H, W] in cells, followed by the residual for the picture (see `Flow`).
        """
        programs = cpu.used(h)
        if programs and isinstance(gx, Parts):
            return self._by_programs(programs, gx, h)
        assert isinstance(gx, torch.Tensor)
        h = self.recurrent(gx, h)
        if self.flow is None:
            return h, h, self._no_flow(h)
        field = self.flow(h, action, basis)
        return h, warp(h, field[:, : 2 * Flow.GROUPS]), field

    def _no_flow(self, h: torch.Tensor) -> torch.Tensor:
        return h.new_zeros(h.shape[0], 2 * Flow.GROUPS + 8, *h.shape[2:])

    def _parts(self, x: torch.Tensor, action: torch.Tensor, basis: torch.Tensor, times: int) -> list[Parts]:
        part = self.input
        rows = [wide(1 + part.scale(action)), wide(part.shift.weights(action))]
        if self.flow is not None:
            rows.append(wide(self.flow.act.weights(action)))
            with in_full(x):
                rows.append(self.flow.direct.weights(wide(action)))
        cells = basis[: part.shift.places].permute(1, 2, 0).contiguous()
        # Channels last, so that the gradients of all steps are put together as they lie.
        conv = part.convolve(x, basis).permute(0, 2, 3, 1)
        steps = zip(*(y.unflatten(0, (-1, times)).unbind(1) for y in (conv, *rows)), strict=True)
        return [Parts(y.permute(0, 3, 1, 2), scale, shift, maps, cells) for y, scale, shift, *maps in steps]

    def _by_programs(
        self, programs: ctypes.CDLL, parts: Parts, h: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        recurrent, flow = self.recurrent, self.flow
        x_norm, y_norm = ((norm.weight, norm.bias) for norm in (self.input.norm, recurrent.norm))
        rows = parts.scale, parts.shift, parts.cells
        # A clip begins with a state of zeros, and its convolution has no bias.
        starts = not h.requires_grad and not h.any()
        conv = torch.zeros_like(parts.conv) if starts else recurrent.conv(h)
        h = cpu.conv_gru_gates(programs, parts.conv, conv, h, x_norm, y_norm, *rows)
        if flow is None:
            return h, h, self._no_flow(h)
        look = flow.look(flow.context(h))
        act, direct = parts.maps
        field = cpu.flow(programs, look, act, direct, flow.out.weight, flow.out.bias, parts.cells, MAX_FLOW)
        return h, cpu.warp(programs, h, field, Flow.GROUPS), field


class RecentStates(nn.Module):
    """Attention of each cell over its own last N states: what the state has forgotten may still stand there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 1)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1)
        self.out = zero_linear(channels, channels)

    def forward(self, states: torch.Tensor, recent: torch.Tensor) -> torch.Tensor:
        """states [B, T, C, h, w] and the N before them [B, N, C, h, w] -> states with what was read, same shape."""
        t, n = states.shape[1], recent.shape[1]
        query = self.query(states.flatten(0, 1)).unflatten(0, states.shape[:2])
        everything = torch.cat([recent, states], dim=1)
        key, value = self.key_value(everything.flatten(0, 1)).unflatten(0, everything.shape[:2]).chunk(2, dim=2)
        at = torch.arange(t + n, device=states.device)
        before = at[:t].unsqueeze(1) + at[:n]  # [T, N]: where the N states before step t stand
        scores = torch.einsum("btchw,btnchw->btnhw", query, key[:, before]) / query.shape[2] ** 0.5
        read = torch.einsum("btnhw,btnchw->bthwc", scores.softmax(dim=2), value[:, before])
        return states + self.out(read).permute(0, 1, 4, 2, 3)


class Context(nn.Module):
    """What lies around: how near a wall is shows where it meets the ground, and that may be cells away.

    Starts as the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=d, dilation=d) for d in (2, 4)])
        norms = [ChannelNorm(channels) for _ in self.convs]
        for norm in norms:
            nn.init.zeros_(norm.weight)
        self.norms = nn.ModuleList(norms)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same shape, each cell with what it saw up to six cells away."""
        programs = cpu.used(h)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            if programs and isinstance(norm, ChannelNorm):
                h = cpu.residual(programs, conv(h), h, norm.weight, norm.bias)
            else:
                h = h + F.silu(norm(conv(h)))
        return h


class Flow(nn.Module):
    """A flow of at most MAX_FLOW cells from the state, the action and the place; one for each channel group.

    `fine` adds a residual flow at twice the resolution, for the picture: the edge of a tree moves by other pixels
    than the hill behind it, and both may lie in one cell. `context` lets each cell see what lies around it.
    """

    GROUPS = 2

    def __init__(self, channels: int, embed: int, hidden: int = 32, *, fine: bool, context: bool, places: int) -> None:
        super().__init__()
        self.context = Context(channels) if context else nn.Identity()
        out = 2 * self.GROUPS + (8 if fine else 0)
        self.look = nn.Conv2d(channels, hidden, 3, padding=1)
        self.act = ActionMap(embed, hidden, places)
        self.direct = ActionMap(embed, out, places)
        self.out = zero_linear(hidden, out)
        nn.init.normal_(self.act.linear.weight, std=0.05)

    def forward(self, h: torch.Tensor, action: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        """The flow in cells, [B, 2 * GROUPS (+ 8), H, W]: where in h each cell of the next frame comes from."""
        mixed = self.look(self.context(h)) * self.act(action, basis)  # what is there, times what is done
        with in_full(h):  # a cell's flow is its neighbours' place: 8 bits of six cells are a tenth of a pixel
            out = self.out(wide(mixed).permute(0, 2, 3, 1)).permute(0, 3, 1, 2) + self.direct(wide(action), basis)
        return MAX_FLOW * torch.tanh(out / MAX_FLOW)


def warp(h: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """h [B, C, H, W] sampled at each cell plus flow [B, 2G, H, W] (x, y a group, in cells), bilinear, edges kept."""
    h, flow = wide(h), wide(flow)
    b, c, height, width = h.shape
    groups = flow.shape[1] // 2
    at = flow.reshape(b * groups, 2, height, width)
    y = torch.arange(height, dtype=h.dtype, device=h.device).unsqueeze(1) + at[:, 1]
    x = torch.arange(width, dtype=h.dtype, device=h.device) + at[:, 0]
    grid = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    parts = h.contiguous().view(b * groups, c // groups, height, width)
    moved = F.grid_sample(parts, grid, padding_mode="border", align_corners=True)
    return moved.view(b, c, height, width).contiguous(memory_format=torch.channels_last)
