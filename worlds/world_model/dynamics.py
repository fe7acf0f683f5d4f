"""The dynamics: ConvGRU layers over code embeddings, and a head that says what the next frame's codes are.

A wall that slides by half a cell changes its codes in ways that a code alone does not tell. So the head gets a first
guess from the picture itself: the frame on show is decoded, moved by the last layer's flow, and encoded again by the
frozen tokenizer; those log-odds are trusted as far as a learned map says, and the layers add what they know: what comes
into view, what was wrong with the flow. The cross-entropy reaches the flow through the encoder; since thin seams give
it a gradient only where they nearly meet, training also asks the moved picture to resemble the next one.

Shape suffixes: B batch, T time, F factors of a code, K = sum of the factors' levels, h x w the grid of codes, H x W
the frame's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from worlds.configs import WorldModelConfig
from worlds.world_model.actions import A
from worlds.world_model.conv_gru import ActionMap, ConvGRULayer, place_basis, zero_linear
from worlds.world_model.quantise import join_factors, split_factors
from worlds.world_model.tokenizer import DOWN, Tokenizer

EMBED = 64  # of an action
TOKEN = 32  # of a code
# In training a trust of 1. Where single codes are chosen the guess counts for more: cross-entropy rewards hedging, and
# the mode of a hedged distribution is a flat patch. Chosen on seeds that no evaluation reports (docs/lab-notes.md).
DECODE_TRUST = 4.0
DOUBT = 0.02  # bounds what a wrong guess can cost: without it training starts by learning never to trust one


@dataclass
class Hidden:
    """The state between two frames: one [B, C, h, w] a layer, aligned with the frame to come."""

    layers: list[torch.Tensor]

    def select(self, index: slice | torch.Tensor | list[int]) -> Hidden:
        return Hidden([x[index] for x in self.layers])

    def repeat(self, times: int) -> Hidden:
        """Each row `times` times in a row."""
        return Hidden([x.repeat_interleave(times, dim=0) for x in self.layers])

    @staticmethod
    def stack(states: list[Hidden]) -> Hidden:
        layers = zip(*(s.layers for s in states), strict=True)
        return Hidden([torch.cat([x.permute(0, 2, 3, 1) for x in parts]).permute(0, 3, 1, 2) for parts in layers])


class Dynamics(nn.Module):
    """`tokenizer` becomes a frozen part of the model; `grid` is (h, w)."""

    basis: torch.Tensor

    def __init__(self, config: WorldModelConfig, tokenizer: Tokenizer, grid: tuple[int, int]) -> None:
        super().__init__()
        c, factors = config.channels, tokenizer.factors
        self.config, self.factors, self.grid = config, factors, grid
        self.tokenizer = tokenizer.requires_grad_(False)
        self.tokens = nn.ModuleList([nn.Embedding(levels, TOKEN) for levels in factors])
        self.corruption = nn.Parameter(torch.zeros(TOKEN))
        self.action = nn.Sequential(nn.Linear(A, EMBED), nn.SiLU(), nn.Linear(EMBED, EMBED))
        self.no_action = nn.Parameter(torch.zeros(EMBED))
        basis = place_basis(*grid)
        self.register_buffer("basis", basis, persistent=False)
        widths = [TOKEN + len(basis)] + [c] * (config.layers - 1)
        self.layers = nn.ModuleList([ConvGRULayer(width, c, EMBED, flow=config.flow) for width in widths])
        self.head = Head(c * config.layers + tokenizer.quantiser.dim, c, factors)

    @property
    def stack(self) -> list[ConvGRULayer]:
        return cast(list[ConvGRULayer], list(self.layers))

    def initial(self, batch: int) -> Hidden:
        shape = (batch, *self.grid, self.config.channels)
        return Hidden([self.no_action.new_zeros(shape).permute(0, 3, 1, 2) for _ in self.layers])

    def embed_action(self, action: torch.Tensor, drop: torch.Tensor | None = None) -> torch.Tensor:
        """action [..., A] -> [..., EMBED]; `drop` [...] bool puts the learned no-action in its place."""
        e = self.action(action)
        return e if drop is None else torch.where(drop.unsqueeze(-1), self.no_action, e)

    def forward(
        self,
        codes: torch.Tensor,
        action: torch.Tensor,
        hidden: Hidden,
        noise: torch.Tensor | None = None,
        drop: torch.Tensor | None = None,
        trust: float = 1.0,
        picture: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Hidden, torch.Tensor]:
        """Teacher forcing over T frames, each layer's x-part for all T at once; T = 1 is the live step.

        codes int64 [B, T, h, w]; action [B, T, A], action[:, t] leads away from frame t; noise [B]: share of the
        codes that was corrupted; drop bool [B, T]; trust: the guess's weight, see `DECODE_TRUST`; picture
        [BT, 3, H, W]: what `decode` makes of the codes, where the caller has it already
        -> logits [B, T, K, h, w] of frames 1..T, state after frame T, flow [B, T, 2, H, W] in pixels from each frame
        1..T back into the frame before it.
        """
        b, t = codes.shape[:2]
        digits = split_factors(codes.flatten(0, 1), self.factors)  # [BT, h, w, F]
        act = self.embed_action(action, drop)
        flat_act = act.flatten(0, 1)
        x = self._embed(digits, noise, t)
        moved, states = [], []
        field = codes.new_empty(0)  # of the last layer, after the loop
        for layer, h in zip(self.stack, hidden.layers, strict=True):
            gx = layer.input(x, flat_act, self.basis).unflatten(0, (b, t)).unbind(1)
            still, after, fields = [], [], []
            for gx_i, act_i in zip(gx, act.unbind(1), strict=True):
                now, h, field = layer(gx_i, h, act_i, self.basis)
                still.append(now)
                after.append(h)
                fields.append(field)
            x, field = fold_time(still), fold_time(fields)
            moved.append(fold_time(after))
            states.append(h)
        flow = F.interpolate(field[:, :2], scale_factor=DOWN, mode="bilinear") * DOWN
        if picture is None:
            with torch.no_grad():
                picture = self.decode(codes.flatten(0, 1))
        guess = self.tokenizer.encoder(move_picture(picture, flow))
        odds = self._odds(self.tokenizer.quantiser.logits(guess))
        logits = self.head(torch.cat([*moved, guess], dim=1), flat_act, trust * odds, self.basis)
        return logits.unflatten(0, (b, t)), Hidden(states), flow.unflatten(0, (b, t))

    def _embed(self, digits: torch.Tensor, noise: torch.Tensor | None, t: int) -> torch.Tensor:
        x = self.tokens[0](digits[..., 0])
        for f, embedding in enumerate(self.tokens[1:], start=1):
            x = x + embedding(digits[..., f])
        if noise is not None:
            x = x + noise.repeat_interleave(t).view(-1, 1, 1, 1) * self.corruption
        place = self.basis.permute(1, 2, 0).expand(len(x), -1, -1, -1)
        return torch.cat([x, place], dim=-1).permute(0, 3, 1, 2)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """codes [N, h, w] -> pictures [N, 3, H, W] in [-.5, .5], as the tokenizer's networks pass them."""
        return self.tokenizer.decoder(self.tokenizer.quantiser.decode(codes))

    def _odds(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-odds of a guess that may be wrong: each factor's distribution with a floor under it, [N, K, h, w]."""
        return torch.cat([(part.softmax(dim=1) + DOUBT).log() for part in logits.split(self.factors, dim=1)], dim=1)

    def compile_parts(self) -> None:
        """torch.compile on the parts that recur: one step of a layer, its hoisted input, the head."""
        for layer in self.stack:
            layer.input.compile()
            layer.compile()
        self.head.compile()

    def log_probs(self, logits: torch.Tensor) -> list[torch.Tensor]:
        """logits [..., K, h, w] -> log-probabilities a factor, each [..., n, h, w]."""
        return [part.log_softmax(dim=-3) for part in logits.split(self.factors, dim=-3)]

    @torch.no_grad()
    def sample(self, logits: torch.Tensor, temperature: torch.Tensor | float) -> torch.Tensor:
        """logits [B, K, h, w], temperature [B] or one number; 0 is greedy -> codes int64 [B, h, w]."""
        heat = torch.as_tensor(temperature, dtype=logits.dtype, device=logits.device).expand(len(logits))
        heat = heat.view(-1, 1, 1, 1)
        digits = []
        for part in logits.split(self.factors, dim=1):
            gumbel = -torch.empty_like(part).exponential_().log()
            digits.append((part + heat * gumbel).argmax(dim=1))
        return join_factors(torch.stack(digits, dim=-1), self.factors)


class Head(nn.Module):
    """Moved states of all layers and the guess -> logits of the next codes."""

    def __init__(self, inputs: int, channels: int, factors: list[int]) -> None:
        super().__init__()
        self.factors = factors
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1)
        self.scale = zero_linear(EMBED, channels)
        self.shift = ActionMap(EMBED, channels)
        self.out = nn.Conv2d(channels, sum(factors) + len(factors), 1)  # logits, and how far to trust the guess

    def forward(self, x: torch.Tensor, act: torch.Tensor, odds: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        """x [N, inputs, h, w], act [N, E], odds [N, K, h, w] of the guess -> logits [N, K, h, w]."""
        scale = 1 + self.scale(act)[:, :, None, None]
        out = self.out(F.silu(torch.addcmul(self.shift(act, basis), self.conv(x), scale)))
        logits, trust = out.split([sum(self.factors), len(self.factors)], dim=1)
        weight = [w.expand(-1, n, -1, -1) for w, n in zip(F.softplus(trust).split(1, dim=1), self.factors, strict=True)]
        return logits + torch.cat(weight, dim=1) * odds


def move_picture(picture: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """picture [N, 3, H, W] sampled at each pixel plus flow [N, 2, H, W] (x, y, in pixels), channels-last."""
    height, width = picture.shape[2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device).unsqueeze(1) + flow[:, 1]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    at = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    moved = F.grid_sample(picture, at, padding_mode="border", align_corners=True)
    return moved.contiguous(memory_format=torch.channels_last)


def fold_time(steps: list[torch.Tensor]) -> torch.Tensor:
    """T tensors [B, C, h, w] -> [BT, C, h, w], channels-last."""
    return torch.stack([s.permute(0, 2, 3, 1) for s in steps], dim=1).flatten(0, 1).permute(0, 3, 1, 2)


def cross_entropy(model: Dynamics, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """logits [B, T, K, h, w], codes int64 [B, T, h, w] -> nats a code, [B, T, h, w]."""
    digits = split_factors(codes, model.factors)
    parts = model.log_probs(logits)
    losses = [-p.gather(2, digits[..., f].unsqueeze(2)).squeeze(2) for f, p in enumerate(parts)]
    return torch.stack(losses).sum(dim=0)
