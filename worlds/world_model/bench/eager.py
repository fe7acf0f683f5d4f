"""The dynamics as one would first write them: what `terrarium bench training` measures the fast path against.

Same parameters, same prediction, same loss. One frame after the other through all layers, tokenizer and head; memory
in PyTorch's default order; the state is moved by `grid_sample`; a mean of pixels is one pooling; nothing is hoisted,
fused or compiled, and all is computed in fp32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from terrarium.worlds.world_model.codes import doubted, likeliest
from terrarium.worlds.world_model.conv_gru import ConvGRULayer, Flow, ResetAfter
from terrarium.worlds.world_model.dynamics import Dynamics, Memory, Prediction
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.kinds import WorldModelConfig
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.picture import between_margins, move_picture, picture_flow
from terrarium.worlds.world_model.tokenizer import Tokenizer


class EagerLosses(Losses):
    @staticmethod
    def box(pictures: torch.Tensor) -> torch.Tensor:
        """As `losses.box`."""
        return F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), 5, stride=1)

    @staticmethod
    def contrast(pictures: torch.Tensor) -> torch.Tensor:
        """As `losses.contrast`."""
        flat = pictures.flatten(0, 1)
        mean, square = F.avg_pool2d(flat, 8, stride=4), F.avg_pool2d(flat * flat, 8, stride=4)
        return (square - mean * mean).clamp(min=0).add(1e-4).sqrt()


class EagerDynamics(Dynamics):
    """ValueError for the variants, which it does not have."""

    def __init__(self, config: WorldModelConfig, tokenizer: Tokenizer, grid: tuple[int, int], actions: int) -> None:
        found = {"reset": config.reset, "moving": config.moving, "recent": config.recent}
        expected = {"reset": "after", "moving": True, "recent": 0}
        if found != expected:
            raise ValueError(f"eager dynamics of {found}: expected {expected}")
        super().__init__(config, tokenizer, grid, actions)

    def forward(
        self,
        codes: torch.Tensor,
        pictures: torch.Tensor,
        action: torch.Tensor,
        memory: Memory,
        noise: torch.Tensor | None = None,
        drop: torch.Tensor | None = None,
    ) -> Prediction:
        """As `Dynamics.forward`."""
        steps = []
        for t in range(codes.shape[1]):
            left_out = None if drop is None else drop[:, t]
            steps.append(self._step(codes[:, t], pictures[:, t], action[:, t], memory, noise, left_out))
            memory = steps[-1].memory
        names = ("logits", "moved", "mask", "known", "fresh", "flow", "guess")
        parts: dict[str, Any] = {name: torch.stack([getattr(p, name) for p in steps], dim=1) for name in names}
        return Prediction(**parts, memory=memory)

    def _step(
        self,
        codes: torch.Tensor,
        picture: torch.Tensor,
        action: torch.Tensor,
        memory: Memory,
        noise: torch.Tensor | None,
        drop: torch.Tensor | None,
    ) -> Prediction:
        """One frame: codes [B, h, w], picture [B, 3, H, W], action [B, A] -> a prediction without its time axis."""
        act = self.embed_action(torch.cat([action, memory.action], dim=-1), drop)
        x = self._embed(codes, picture, noise, 1).contiguous()
        states, field = [], x
        for layer, h in zip(self.stack, memory.layers, strict=True):
            x, h, field = layer_step(layer, x, h, act, self.basis)
            states.append(h)
        flow = picture_flow(field)
        margin, width = self.config.margin, picture.shape[-1]
        canvas = between_margins(picture, memory.fresh, memory.margins)
        moved, known = move_picture(canvas, flow, margin).split([3, 1], dim=1)  # it is trained without a painter
        with torch.no_grad():
            whole = move_picture(canvas, F.pad(flow, (margin, margin, 0, 0), mode="replicate"))
            margins = torch.cat([whole[..., :margin], whole[..., margin + width :]], dim=-1)
        guess = self.tokenizer.encoder(moved)
        seen = torch.cat([*states, guess, F.avg_pool2d(known, DOWN)], dim=1)
        odds = doubted(self.tokenizer.quantiser.logits(guess), self.factors)
        logits, mask = self.head(seen, act, odds, self.basis)
        after = Memory(states, action, margins, memory.recent, memory.fresh, memory.views, memory.looks)
        return Prediction(logits, moved, mask * known, known, memory.fresh, flow, likeliest(odds, self.factors), after)


def layer_step(
    layer: ConvGRULayer, x: torch.Tensor, h: torch.Tensor, act: torch.Tensor, basis: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x [B, Cx, h, w] -> the new state, the same moved by its flow, the flow: the equations of conv_gru.py."""
    assert isinstance(layer.recurrent, ResetAfter)
    gx_r, gx_z, gx_n = layer.input(x, act, basis).chunk(3, dim=1)
    gh_r, gh_z, gh_n = layer.recurrent.norm(layer.recurrent.conv(h)).chunk(3, dim=1)
    r = torch.sigmoid(gx_r + gh_r)
    z = torch.sigmoid(gx_z + gh_z)
    n = torch.tanh(gx_n + r * gh_n)
    h = ((1 - z) * n + z * h).contiguous()
    if layer.flow is None:
        return h, h, h.new_zeros(h.shape[0], 2 * Flow.GROUPS + 8, *h.shape[2:])
    field = layer.flow(h, act, basis)
    groups = zip(h.chunk(Flow.GROUPS, 1), field[:, : 2 * Flow.GROUPS].chunk(Flow.GROUPS, 1), strict=True)
    return h, torch.cat([sample_at(part, flow) for part, flow in groups], dim=1), field


def sample_at(h: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """h [B, C, h, w] at each cell plus flow [B, 2, h, w] (x, y, in cells), bilinear, edges repeated."""
    height, width = h.shape[2:]
    y = torch.arange(height, dtype=h.dtype, device=h.device).unsqueeze(1) + flow[:, 1]
    x = torch.arange(width, dtype=h.dtype, device=h.device) + flow[:, 0]
    at = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    return F.grid_sample(h, at, padding_mode="border", align_corners=True)
