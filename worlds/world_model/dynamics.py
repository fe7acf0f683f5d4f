"""The dynamics: ConvGRU layers over the frame on show, and a head that says what the next frame is made of.

The next picture is composed of two, as in a video codec. Most of it is the present picture moved by the last layer's
flow: pixels, so nothing is lost to the tokenizer. The rest, what comes into view and what the flow got wrong, is drawn
from codes: the head gives their logits, and a mask that says where to show which. The moved picture, encoded by the
frozen tokenizer, is also the head's first guess of the codes, trusted as far as a learned map says.

What the flow carries out of the picture is kept in margins beside it and comes back when the player turns back. Where
the camera is known, a player who turns on the spot sees what he saw before (views.py), all around.

Shape suffixes: B batch, T time, A action columns, F factors of a code, K = sum of the factors' levels, h x w the grid
of codes, H x W the frame's pixels, M the margin, V the views, P 1 with a painter, else 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.kernels import cpu
from terrarium.kernels.codes import split_factors
from terrarium.worlds.precision import FullWeights, as_taken, in_full
from terrarium.worlds.world_model.codes import TOKEN, Refine, cat_channels, choose, doubted, likeliest
from terrarium.worlds.world_model.conv_gru import ActionMap, ConvGRULayer, RecentStates, place_basis, zero_linear
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.geometry import MovingCamera, Seen
from terrarium.worlds.world_model.kinds import WorldModelConfig
from terrarium.worlds.world_model.painter import Painter
from terrarium.worlds.world_model.picture import move_pictures, picture_flow
from terrarium.worlds.world_model.tokenizer import Tokenizer
from terrarium.worlds.world_model.views import EMPTY, Camera, forget, look_back, turn

EMBED = 64  # of an action and the one before it
EYE = 32  # of a cell's pixels


@dataclass
class Memory:
    """What is kept from one frame to the next, aligned with the frame to come."""

    layers: list[torch.Tensor]  # [B, C, h, w] each
    action: torch.Tensor  # [B, A], the newest
    margins: torch.Tensor  # [B, 4 + P, H, 2M]: left, right; colours in [-.5, .5], `known` (1: was in view), `fresh`
    recent: torch.Tensor  # [B, N, C, h, w], the last layer's states of the last N frames
    fresh: torch.Tensor  # [B, P, H, W] in [0, 1], of the frame to come (see picture.py); 1 where that is a real one
    views: torch.Tensor  # uint8 [B, V, 3 + P, H, W], and where they look [B, 1 + V, 3] (see views.py)
    looks: torch.Tensor

    def select(self, index: slice | torch.Tensor | list[int]) -> Memory:
        return self._each(lambda x: x[index])

    def repeat(self, times: int) -> Memory:
        """Each row `times` times in a row."""
        return self._each(lambda x: x.repeat_interleave(times, 0))

    def _each(self, f: Callable[[torch.Tensor], torch.Tensor]) -> Memory:
        rest = (f(x) for x in (self.action, self.margins, self.recent, self.fresh, self.views, self.looks))
        return Memory([f(x) for x in self.layers], *rest)

    @staticmethod
    def stack(memories: list[Memory]) -> Memory:
        layers = zip(*(m.layers for m in memories), strict=True)
        return Memory(
            [torch.cat([x.permute(0, 2, 3, 1) for x in parts]).permute(0, 3, 1, 2) for parts in layers],
            torch.cat([m.action for m in memories]),
            torch.cat([m.margins for m in memories]),
            torch.cat([m.recent for m in memories]),
            torch.cat([m.fresh for m in memories]),
            torch.cat([m.views for m in memories]),
            torch.cat([m.looks for m in memories]),
        )


@dataclass
class Prediction:
    """Of the frames 1..T that follow frames 0..T-1."""

    logits: torch.Tensor  # [B, T, K, h, w]
    moved: torch.Tensor  # [B, T, 3, H, W] in [-.5, .5], each frame moved by its flow
    mask: torch.Tensor  # [B, T, 1, H, W] in [0, 1], how far to show `moved`; 0 where it was never seen
    known: torch.Tensor  # [B, T, 1, H, W] in [0, 1], where `moved` was seen
    fresh: torch.Tensor  # [B, T, P, H, W] in [0, 1], how fresh `moved` is (see picture.py)
    flow: torch.Tensor  # [B, T, 2, H, W] in pixels, from each pixel back into the frame before
    guess: torch.Tensor  # int64 [B, T, h, w], the codes of `moved`
    memory: Memory  # after frame T
    seen: Seen | None = None  # with a moving camera


class Dynamics(FullWeights):
    """`tokenizer` becomes a frozen part of the model; `grid` is (h, w); `actions` is A; without a `camera` there are no
    views. A painter is trained last."""

    basis: torch.Tensor

    def __init__(
        self,
        config: WorldModelConfig,
        tokenizer: Tokenizer,
        grid: tuple[int, int],
        actions: int,
        camera: Camera | None = None,
    ) -> None:
        super().__init__()
        c, factors = config.channels, tokenizer.factors
        self.camera = camera if config.views else None
        self.config, self.factors, self.grid, self.actions = config, factors, grid, actions
        self.tokenizer = tokenizer.requires_grad_(False)
        self.tokens = nn.ModuleList([nn.Embedding(levels, TOKEN) for levels in factors])
        self.eye = nn.Conv2d(3, EYE, DOWN, stride=DOWN)
        self.corruption = nn.Parameter(torch.zeros(TOKEN))
        self.action = ActionPaths(actions) if config.film == "paths" else perceptron(2 * actions, EMBED)
        self.no_action = nn.Parameter(torch.zeros(EMBED))
        basis = place_basis(*grid)
        self.register_buffer("basis", basis, persistent=False)
        places = 1 if config.film == "uniform" else len(basis)
        kind: dict[str, Any] = {"flow": config.flow, "reset": config.reset, "places": places}
        last = config.layers - 1
        self.layers = nn.ModuleList(
            [
                ConvGRULayer(
                    c if i else TOKEN + EYE + len(basis),
                    c,
                    EMBED,
                    fine=i == last,
                    context=i == last and config.flow_context,
                    **kind,
                )
                for i in range(config.layers)
            ]
        )
        self.recent = RecentStates(c) if config.recent else None
        self.echo = nn.Linear(c, actions) if config.echo else None
        self.head = Head(c * config.layers + tokenizer.quantiser.dim + 1, c, factors, places)
        self.refine = Refine(c, factors)
        self.moving_camera: MovingCamera | None = None
        if config.moving_camera:
            assert camera is not None
            self.moving_camera = MovingCamera(camera, c, EMBED)
        self.painter: Painter | None = None

    @property
    def device(self) -> torch.device:
        return self.no_action.device

    @property
    def stack(self) -> list[ConvGRULayer]:
        return cast(list[ConvGRULayer], list(self.layers))

    def initial(self, batch: int) -> Memory:
        (h, w), new = self.grid, self.no_action.new_zeros
        c, recent, margin = self.config.channels, self.config.recent, self.config.margin
        layers = [new(batch, h, w, c).permute(0, 3, 1, 2) for _ in self.layers]
        painted = self.painter is not None
        margins = new(batch, 4 + painted, h * DOWN, 2 * margin)
        fresh = new(batch, int(painted), h * DOWN, w * DOWN) + 1
        count = self.config.views if self.camera else 0
        views = new(batch, count, 3 + painted, h * DOWN, w * DOWN, dtype=torch.uint8)
        looks = new(batch, 1 + count, 3)
        looks[:, 1:, 2] = EMPTY
        return Memory(layers, new(batch, self.actions), margins, new(batch, recent, c, h, w), fresh, views, looks)

    def stand(self, looks: torch.Tensor, action: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """After an action [B, A] that moved the picture by `flow` [B, 2, H, W]; a known camera is needed."""
        assert self.camera is not None
        return forget(self.camera, looks, turn(self.camera, looks, action), flow, action)

    def embed_action(self, action: torch.Tensor, drop: torch.Tensor | None = None) -> torch.Tensor:
        """action and the one before it [..., 2A] -> [..., EMBED]; `drop` [...] bool: the learned no-action instead."""
        e = self.action(action)
        return e if drop is None else torch.where(drop.unsqueeze(-1), self.no_action, e)

    def forward(
        self,
        codes: torch.Tensor,
        pictures: torch.Tensor,
        action: torch.Tensor,
        memory: Memory,
        noise: torch.Tensor | None = None,
        drop: torch.Tensor | None = None,
    ) -> Prediction:
        """Teacher forcing over T frames, each layer's x-part for all T at once; T = 1 is the live step.

        codes int64 [B, T, h, w] and pictures [B, T, 3, H, W] of frames 0..T-1; action [B, T, A], action[:, t] leads
        away from frame t; noise [B]: share of the codes that was corrupted; drop bool [B, T]: actions to leave out.
        """
        b, t = codes.shape[:2]
        before = torch.cat([memory.action.unsqueeze(1), action[:, :-1]], dim=1)
        act = self.embed_action(torch.cat([action, before], dim=-1), drop)
        flat_act = act.flatten(0, 1)
        x = self._embed(codes.flatten(0, 1), pictures.flatten(0, 1), noise, t)
        moved_states, states = [], []
        field = codes.new_empty(0)  # of the last layer, after the loop
        # What takes all T states of a layer are convolutions; attention and a camera take the last one's as they are.
        whole = self.layers[-1] if self.recent or self.moving_camera else None
        for layer, h in zip(self.stack, memory.layers, strict=True):
            inputs = layer.inputs(x, flat_act, self.basis, t)
            still, after, fields = [], [], []
            for gx_i, act_i in zip(inputs, act.unbind(1), strict=True):
                now, h, field = layer(gx_i, h, act_i, self.basis)
                still.append(now)
                after.append(h)
                fields.append(field)
            x, field = fold_time([as_taken(state) for state in still]), fold_time(fields)
            moved_states.append(fold_time(after if layer is whole else [as_taken(state) for state in after]))
            states.append(h)
        recent = memory.recent
        if self.recent is not None:
            newest = moved_states[-1].unflatten(0, (b, t))
            moved_states[-1] = self.recent(newest, recent).flatten(0, 1)
            recent = torch.cat([recent, newest], dim=1)[:, t:]
        seen = None
        flow = picture_flow(field).unflatten(0, (b, t))
        if self.moving_camera is not None:
            seen = self.moving_camera(moved_states[-1], flat_act, action.flatten(0, 1))
            flow = seen.flow.unflatten(0, (b, t))
        moved, margins = move_pictures(pictures, flow, memory.margins, memory.fresh)
        moved, known, fresh = moved.split([3, 1, moved.shape[1] - 4], dim=1)
        looks = memory.looks
        if self.camera and t == 1 and not flow.requires_grad:
            looks = self.stand(looks, action[:, 0], flow[:, 0])
            view, there = look_back(self.camera, memory.views, memory.looks, looks)
            moved, fresh = torch.where(there, view[:, :3], moved), torch.where(there, view[:, 3:], fresh)
            known = torch.where(there, torch.ones_like(known), known)
        planar = cpu.used(moved)  # as the program of the first convolution takes pictures
        guess = self.tokenizer.encoder(moved if planar else moved.contiguous(memory_format=torch.channels_last))
        odds = doubted(self.tokenizer.quantiser.logits(guess), self.factors)
        if not self.config.moving:
            known, guess, odds = (torch.zeros_like(x) for x in (known, guess, odds))
        x = cat_channels([*moved_states, guess, F.avg_pool2d(known, DOWN)])
        logits, mask = self.head(x, flat_act, odds, self.basis)
        logits, moved, mask, known, fresh = (
            x.unflatten(0, (b, t)) for x in (logits, moved, mask * known, known, fresh)
        )
        codes = likeliest(odds, self.factors).unflatten(0, (b, t))
        kept = Memory(states, action[:, -1], margins, recent, torch.ones_like(memory.fresh), memory.views, looks)
        return Prediction(logits, moved, mask, known, fresh, flow, codes, kept, seen)

    def embed_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """codes int64 [N, h, w] -> [N, h, w, TOKEN], the sum of the factors' embeddings."""
        digits = split_factors(codes, self.factors)
        if cpu.used(self.corruption):
            return self._embed_digits(digits)
        x = self.tokens[0](digits[..., 0])
        for f, embedding in enumerate(self.tokens[1:], start=1):
            x = x + embedding(digits[..., f])
        return x

    def _embed_digits(self, digits: torch.Tensor) -> torch.Tensor:
        """The same as one product: the backward of `Embedding` adds row by row."""
        table = torch.cat(list(self.tokens.parameters()))
        first = [sum(self.factors[:f]) for f in range(len(self.factors))]  # row of each factor in the table
        hot = table.new_zeros(*digits.shape[:-1], len(table))
        hot.scatter_(-1, digits + digits.new_tensor(first), 1.0)
        with in_full(table):
            return hot @ table

    def _embed(self, codes: torch.Tensor, pictures: torch.Tensor, noise: torch.Tensor | None, t: int) -> torch.Tensor:
        """[BT, h, w], [BT, 3, H, W] -> [BT, TOKEN + EYE + places, h, w]. The places, the same in every sample, are left
        out where the first layer adds them (`InputPart.convolve`)."""
        x = self.embed_codes(codes)
        if noise is not None:
            x = x + noise.repeat_interleave(t).view(-1, 1, 1, 1) * self.corruption
        seen = self.eye(pictures.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)
        parts = [x, seen]
        if not cpu.used(x):
            parts.append(self.basis.permute(1, 2, 0).expand(x.shape[0], -1, -1, -1))
        return torch.cat([as_taken(y) for y in parts], dim=-1).permute(0, 3, 1, 2)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """codes [N, h, w] -> pictures [N, 3, H, W] in [-.5, .5], as the tokenizer's networks pass them."""
        return self.tokenizer.decoder(self.tokenizer.quantiser.decode(codes))

    @torch.no_grad()
    def draw(self, codes: torch.Tensor) -> torch.Tensor:
        """Chosen codes [B, T, h, w] -> pictures [B, T, 3, H, W] in [-.5, .5]."""
        return self.decode(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    @torch.no_grad()
    def choose(self, prediction: Prediction, temperature: torch.Tensor | float) -> torch.Tensor:
        """The codes [B, h, w] of a prediction with T = 1: those of the moved picture where it is shown, the others
        drawn (see `codes.choose`)."""
        logits, shown = prediction.logits[:, 0], F.avg_pool2d(prediction.mask[:, 0], DOWN)[:, 0] > 0.5

        def refine(codes: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            return self.refine(logits, self.embed_codes(codes), chosen)

        return choose(refine, prediction.guess[:, 0], shown, temperature, self.factors)

    def compile_parts(self) -> None:
        """torch.compile on the parts that recur: one step of a layer, its hoisted input, the head."""
        for layer in self.stack:
            layer.input.compile()
            layer.compile()
        self.head.compile()


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, EMBED), nn.SiLU(), nn.Linear(EMBED, outputs))


class ActionPaths(nn.Module):
    """Camera and movement embedded apart, half of EMBED each: in the linear maps of an embedding the two only add up.

    The first two columns of an action are the camera's.
    """

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.actions = actions
        self.camera = perceptron(2 * 2, EMBED // 2)
        self.movement = perceptron(2 * (actions - 2), EMBED // 2)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """An action and the one before it [..., 2A] -> [..., EMBED]."""
        both = pair.unflatten(-1, (2, self.actions))
        camera, movement = both[..., :2].flatten(-2), both[..., 2:].flatten(-2)
        return torch.cat([self.camera(camera), self.movement(movement)], dim=-1)


class Head(nn.Module):
    """Moved states of all layers, the guess and what was seen -> logits of the next codes, and the mask."""

    def __init__(self, inputs: int, channels: int, factors: list[int], places: int) -> None:
        super().__init__()
        self.factors = factors
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1)
        self.scale = zero_linear(EMBED, channels)
        self.shift = ActionMap(EMBED, channels, places)
        # Logits, how far to trust the guess, and the mask's logits for each pixel of the cell.
        self.parts = [sum(factors), len(factors), DOWN * DOWN]
        self.out = nn.Conv2d(channels, sum(self.parts), 1)

    def forward(
        self, x: torch.Tensor, act: torch.Tensor, odds: torch.Tensor, basis: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x [N, inputs, h, w], act [N, E], odds [N, K, h, w] of the guess -> logits [N, K, h, w], mask [N, 1, H, W]."""
        scale = 1 + self.scale(act)[:, :, None, None]
        out = self.out(cpu.silu(torch.addcmul(self.shift(act, basis), self.conv(x), scale)))
        logits, trust, mask = out.split(self.parts, dim=1)
        weight = [w.expand(-1, n, -1, -1) for w, n in zip(F.softplus(trust).split(1, dim=1), self.factors, strict=True)]
        return logits + torch.cat(weight, dim=1) * odds, torch.sigmoid(F.pixel_shuffle(mask, DOWN))


def fold_time(steps: list[torch.Tensor]) -> torch.Tensor:
    """T tensors [B, C, h, w] -> [BT, C, h, w], channels-last."""
    return torch.stack([s.permute(0, 2, 3, 1) for s in steps], dim=1).flatten(0, 1).permute(0, 3, 1, 2)
