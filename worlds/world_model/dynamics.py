"""The dynamics: ConvGRU layers over the frame on show, and a head that says what the next frame is made of.

The next picture is composed of two, as in a video codec. Most of it is the present picture moved by the last layer's
flow: pixels, so nothing is lost to the tokenizer. The rest, what comes into view and what the flow got wrong, is drawn
from codes: the head gives their logits, and a mask that says where to show which. The moved picture, encoded by the
frozen tokenizer, is also the head's first guess of the codes, trusted as far as a learned map says.

What the flow carries out of the picture is kept in margins beside it and comes back when the player turns back.

Shape suffixes: B batch, T time, A action columns, F factors of a code, K = sum of the factors' levels, h x w the grid
of codes, H x W the frame's pixels, M the margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from kernels.soft_embed.fused import soft_embed
from worlds.world_model.conv_gru import ActionMap, ConvGRULayer, Flow, RecentStates, place_basis, zero_linear
from worlds.world_model.fits import DOWN
from worlds.world_model.kinds import WorldModelConfig
from worlds.world_model.quantise import join_factors, split_factors
from worlds.world_model.tokenizer import Tokenizer

EMBED = 64  # of an action and the one before it
TOKEN = 32  # of a code
EYE = 32  # of a cell's pixels
ROUNDS = 2  # in which the codes of a frame are chosen
CHANCE = 0.75  # in which of them come first: the surest alone are the dullest, and whole frames go flat
STILL = 0.25  # pixels: a frame in which nothing moves by more is kept as it is, or the filter would sharpen it for ever
DOUBT = 0.02  # bounds what a wrong guess can cost: without it training starts by learning never to trust one


@dataclass
class Memory:
    """What is kept from one frame to the next, aligned with the frame to come."""

    layers: list[torch.Tensor]  # [B, C, h, w] each
    action: torch.Tensor  # [B, A], the newest
    margins: torch.Tensor  # [B, 4, H, 2M]: left, right; colours in [-.5, .5], 1 where they were seen, 0 where made up
    recent: torch.Tensor  # [B, N, C, h, w], the last layer's states of the last N frames

    def select(self, index: slice | torch.Tensor | list[int]) -> Memory:
        return Memory([x[index] for x in self.layers], self.action[index], self.margins[index], self.recent[index])

    def repeat(self, times: int) -> Memory:
        """Each row `times` times in a row."""
        first, *rest = (x.repeat_interleave(times, 0) for x in (self.action, self.margins, self.recent))
        return Memory([x.repeat_interleave(times, 0) for x in self.layers], first, *rest)

    @staticmethod
    def stack(memories: list[Memory]) -> Memory:
        layers = zip(*(m.layers for m in memories), strict=True)
        return Memory(
            [torch.cat([x.permute(0, 2, 3, 1) for x in parts]).permute(0, 3, 1, 2) for parts in layers],
            torch.cat([m.action for m in memories]),
            torch.cat([m.margins for m in memories]),
            torch.cat([m.recent for m in memories]),
        )


@dataclass
class Prediction:
    """Of the frames 1..T that follow frames 0..T-1."""

    logits: torch.Tensor  # [B, T, K, h, w]
    moved: torch.Tensor  # [B, T, 3, H, W] in [-.5, .5], each frame moved by its flow
    mask: torch.Tensor  # [B, T, 1, H, W] in [0, 1], how far to show `moved`; 0 where it was never seen
    known: torch.Tensor  # [B, T, 1, H, W] in [0, 1], where `moved` was seen
    flow: torch.Tensor  # [B, T, 2, H, W] in pixels, from each pixel back into the frame before
    guess: torch.Tensor  # int64 [B, T, h, w], the codes of `moved`
    memory: Memory  # after frame T


class Dynamics(nn.Module):
    """`tokenizer` becomes a frozen part of the model; `grid` is (h, w); `actions` is A."""

    basis: torch.Tensor

    def __init__(self, config: WorldModelConfig, tokenizer: Tokenizer, grid: tuple[int, int], actions: int) -> None:
        super().__init__()
        c, factors = config.channels, tokenizer.factors
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

    @property
    def stack(self) -> list[ConvGRULayer]:
        return cast(list[ConvGRULayer], list(self.layers))

    def initial(self, batch: int) -> Memory:
        (h, w), new = self.grid, self.no_action.new_zeros
        c, recent, margin = self.config.channels, self.config.recent, self.config.margin
        layers = [new(batch, h, w, c).permute(0, 3, 1, 2) for _ in self.layers]
        margins = new(batch, 4, h * DOWN, 2 * margin)
        return Memory(layers, new(batch, self.actions), margins, new(batch, recent, c, h, w))

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
        for layer, h in zip(self.stack, memory.layers, strict=True):
            gx = layer.input(x, flat_act, self.basis).unflatten(0, (b, t)).unbind(1)
            still, after, fields = [], [], []
            for gx_i, act_i in zip(gx, act.unbind(1), strict=True):
                now, h, field = layer(gx_i, h, act_i, self.basis)
                still.append(now)
                after.append(h)
                fields.append(field)
            x, field = fold_time(still), fold_time(fields)
            moved_states.append(fold_time(after))
            states.append(h)
        recent = memory.recent
        if self.recent is not None:
            newest = moved_states[-1].unflatten(0, (b, t))
            moved_states[-1] = self.recent(newest, recent).flatten(0, 1)
            recent = torch.cat([recent, newest], dim=1)[:, t:]
        flow = picture_flow(field).unflatten(0, (b, t))
        moved, margins = self._move(pictures, flow, memory.margins)
        moved, known = moved.split([3, 1], dim=1)
        guess = self.tokenizer.encoder(moved.contiguous(memory_format=torch.channels_last))
        odds = self._odds(guess)
        if not self.config.moving:
            known, guess, odds = (torch.zeros_like(x) for x in (known, guess, odds))
        x = torch.cat([*moved_states, guess, F.avg_pool2d(known, DOWN)], dim=1)
        logits, mask = self.head(x, flat_act, odds, self.basis)
        logits, moved, mask, known = (x.unflatten(0, (b, t)) for x in (logits, moved, mask * known, known))
        likeliest = self.likeliest(odds).unflatten(0, (b, t))
        kept = Memory(states, action[:, -1], margins, recent)
        return Prediction(logits, moved, mask, known, flow, likeliest, kept)

    def embed_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """codes int64 [N, h, w] -> [N, h, w, TOKEN], the sum of the factors' embeddings."""
        digits = split_factors(codes, self.factors)
        x = self.tokens[0](digits[..., 0])
        for f, embedding in enumerate(self.tokens[1:], start=1):
            x = x + embedding(digits[..., f])
        return x

    def _embed(self, codes: torch.Tensor, pictures: torch.Tensor, noise: torch.Tensor | None, t: int) -> torch.Tensor:
        """[BT, h, w], [BT, 3, H, W] -> [BT, TOKEN + EYE + places, h, w]."""
        x = self.embed_codes(codes)
        if noise is not None:
            x = x + noise.repeat_interleave(t).view(-1, 1, 1, 1) * self.corruption
        place = self.basis.permute(1, 2, 0).expand(x.shape[0], -1, -1, -1)
        seen = self.eye(pictures.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)
        return torch.cat([x, seen, place], dim=-1).permute(0, 3, 1, 2)

    def _move(
        self, pictures: torch.Tensor, flow: torch.Tensor, margins: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """-> pictures and `known` moved by the flow [BT, 4, H, W], margins after the last frame.

        The margins move by the flow at the picture's edge; only the picture itself passes a gradient to the flow.
        """
        m, width = self.config.margin, pictures.shape[-1]
        seen, moved = [], []
        with torch.no_grad():
            for picture, flow_t in zip(pictures.unbind(1), flow.unbind(1), strict=True):
                canvas = self._canvas(picture, margins)
                seen.append(canvas)
                if flow.requires_grad:  # the picture itself is moved below, all T at once
                    left = move_picture(canvas, flow_t[..., :1].expand(-1, -1, -1, m))
                    right = move_picture(canvas, flow_t[..., -1:].expand(-1, -1, -1, m), m + width)
                else:
                    flow_t = flow_t * (flow_t.abs().amax(dim=(1, 2, 3), keepdim=True) > STILL)
                    whole = move_picture(canvas, F.pad(flow_t, (m, m, 0, 0), mode="replicate"))
                    left, middle, right = whole.split([m, width, m], dim=-1)
                    moved.append(middle)
                margins = torch.cat([left, right], dim=-1)
        if flow.requires_grad:
            return move_picture(torch.stack(seen, dim=1).flatten(0, 1), flow.flatten(0, 1), m), margins
        return torch.stack(moved, dim=1).flatten(0, 1), margins

    def _canvas(self, picture: torch.Tensor, margins: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] between its margins [B, 4, H, 2M] -> [B, 4, H, W + 2M]."""
        left, right = margins.chunk(2, dim=-1)
        return torch.cat([left, torch.cat([picture, torch.ones_like(picture[:, :1])], dim=1), right], dim=-1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """codes [N, h, w] -> pictures [N, 3, H, W] in [-.5, .5], as the tokenizer's networks pass them."""
        return self.tokenizer.decoder(self.tokenizer.quantiser.decode(codes))

    def _odds(self, guess: torch.Tensor) -> torch.Tensor:
        """Log-odds of latents that may be wrong: each factor's distribution with a floor under it, [N, K, h, w]."""
        parts = self.tokenizer.quantiser.logits(guess).split(self.factors, dim=1)
        return torch.cat([(part.softmax(dim=1) + DOUBT).log() for part in parts], dim=1)

    def soft_latents(self, logits: torch.Tensor) -> torch.Tensor:
        """logits [N, K, h, w] -> latents [N, D, h, w] of codes drawn softly (Gumbel softmax), with a gradient."""
        latents = []
        tables = self.tokenizer.quantiser.tables()
        for part, table in zip(logits.split(self.factors, dim=1), tables, strict=True):
            rows = part.permute(0, 2, 3, 1).flatten(0, 2)
            seed = torch.randint(2**31, ())
            latents.append(soft_embed(rows, table, seed).view(*part.shape[:1], *part.shape[2:], -1))
        return torch.cat(latents, dim=-1).permute(0, 3, 1, 2)

    @torch.no_grad()
    def draw(self, codes: torch.Tensor) -> torch.Tensor:
        """Chosen codes [B, T, h, w] -> pictures [B, T, 3, H, W] in [-.5, .5]."""
        return self.decode(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def compose(self, prediction: Prediction, drawn: torch.Tensor, *, soft: bool = False) -> torch.Tensor:
        """The pictures [B, T, 3, H, W] in [-.5, .5] of a prediction and of what was drawn for it.

        Each pixel is moved or drawn. `soft` mixes the two by the mask, for the gradient of a loss: a mixture of two
        pictures that do not agree is blurred, and shown again and again ever more so.
        """
        moved, drawn = prediction.moved, drawn.to(prediction.moved.dtype)  # autocast leaves three types here
        if not soft:
            return torch.where(prediction.mask > 0.5, moved, drawn).clamp(-0.5, 0.5)
        return torch.lerp(drawn, moved, prediction.mask.expand_as(drawn).to(drawn.dtype)).clamp(-0.5, 0.5)

    def compile_parts(self) -> None:
        """torch.compile on the parts that recur: one step of a layer, its hoisted input, the head."""
        for layer in self.stack:
            layer.input.compile()
            layer.compile()
        self.head.compile()

    @torch.no_grad()
    def choose(self, prediction: Prediction, temperature: torch.Tensor | float) -> torch.Tensor:
        """The codes [B, h, w] of a prediction with T = 1; temperature [B] or one number, 0 is greedy.

        Those of the moved picture where it is shown. The others are drawn in ROUNDS rounds: of each the surest are
        kept, give or take a chance that grows with the temperature, and the rest are drawn again knowing them.
        """
        logits = prediction.logits[:, 0]
        chance = CHANCE * self._heat(logits, temperature).view(-1, 1)
        chosen = F.avg_pool2d(prediction.mask[:, 0], DOWN)[:, 0] > 0.5
        codes, left = prediction.guess[:, 0], (~chosen).flatten(1).sum(dim=1, keepdim=True)
        for done in range(ROUNDS):
            refined = self.refine(logits, self.embed_codes(codes), chosen)
            drawn = self.sample(refined, temperature)
            codes = torch.where(chosen, codes, drawn)
            doubt = self.nats(refined, codes).flatten(1)
            surest = (doubt + chance * gumbel(doubt)).masked_fill(chosen.flatten(1), -torch.inf)
            keep = surest.shape[1] - left * (ROUNDS - 1 - done) // ROUNDS
            chosen = surest.argsort(dim=1).argsort(dim=1).lt(keep).view_as(chosen)
        return codes

    def likeliest(self, logits: torch.Tensor) -> torch.Tensor:
        """logits [N, K, h, w] -> codes int64 [N, h, w]."""
        digits = [largest(part) for part in logits.split(self.factors, dim=1)]
        return join_factors(torch.stack(digits, dim=-1), self.factors)

    def nats(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """logits [..., K, h, w], codes int64 [..., h, w] -> minus the log-probability of each, [..., h, w]."""
        digits = split_factors(codes, self.factors)
        parts = [part.log_softmax(dim=-3) for part in logits.split(self.factors, dim=-3)]
        losses = [-p.gather(-3, digits[..., f].unsqueeze(-3)).squeeze(-3) for f, p in enumerate(parts)]
        return torch.stack(losses).sum(dim=0)

    @torch.no_grad()
    def sample(self, logits: torch.Tensor, temperature: torch.Tensor | float) -> torch.Tensor:
        """logits [B, K, h, w], temperature [B] or one number; 0 is greedy -> codes int64 [B, h, w]."""
        heat = self._heat(logits, temperature).view(-1, 1, 1, 1)
        digits = [largest(part + heat * gumbel(part)) for part in logits.split(self.factors, dim=1)]
        return join_factors(torch.stack(digits, dim=-1), self.factors)

    def _heat(self, logits: torch.Tensor, temperature: torch.Tensor | float) -> torch.Tensor:
        """[B], one a row of the logits."""
        return torch.as_tensor(temperature, dtype=logits.dtype, device=logits.device).expand(logits.shape[0])


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


class Refine(nn.Module):
    """Logits anew where some codes are chosen already, so that cells drawn in one frame agree with each other.

    Trained on codes hidden at random, as in MaskGIT (Chang et al. 2022, arXiv:2202.04200).
    """

    def __init__(self, channels: int, factors: list[int]) -> None:
        super().__init__()
        self.factors = factors
        self.near = nn.Conv2d(sum(factors) + TOKEN + 1, channels, 3, padding=1)
        self.far = nn.Conv2d(channels, channels, 3, padding=2, dilation=2)
        self.out = nn.Conv2d(channels, sum(factors), 1)
        for p in self.out.parameters():
            nn.init.zeros_(p)

    def forward(self, logits: torch.Tensor, codes: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """logits [N, K, h, w], embedded codes [N, h, w, TOKEN], chosen bool [N, h, w] -> logits [N, K, h, w]."""
        sure = chosen.unsqueeze(-1).to(logits.dtype)
        known = torch.cat([codes * sure, sure], dim=-1).permute(0, 3, 1, 2)
        odds = [part.log_softmax(dim=1) for part in logits.split(self.factors, dim=1)]
        x = F.silu(self.near(torch.cat([*odds, known], dim=1)))
        return logits + self.out(F.silu(x + self.far(x)))


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
        out = self.out(F.silu(torch.addcmul(self.shift(act, basis), self.conv(x), scale)))
        logits, trust, mask = out.split(self.parts, dim=1)
        weight = [w.expand(-1, n, -1, -1) for w, n in zip(F.softplus(trust).split(1, dim=1), self.factors, strict=True)]
        return logits + torch.cat(weight, dim=1) * odds, torch.sigmoid(F.pixel_shuffle(mask, DOWN))


def gumbel(like: torch.Tensor) -> torch.Tensor:
    """Standard Gumbel noise of a tensor's shape; the same in every memory format."""
    return -torch.empty(like.shape, dtype=like.dtype, device=like.device).exponential_().log()


def largest(x: torch.Tensor) -> torch.Tensor:
    """Index of the largest of the C channels, [N, C, h, w] -> int64 [N, h, w]; ten times as fast with them last."""
    return x.contiguous(memory_format=torch.channels_last).argmax(dim=1)


def picture_flow(field: torch.Tensor) -> torch.Tensor:
    """A layer's field in cells (see `Flow`) [N, 12, h, w] -> the picture's flow in pixels [N, 2, H, W]."""
    coarse = F.interpolate(field[:, :2], scale_factor=DOWN, mode="bilinear")
    fine = F.interpolate(F.pixel_shuffle(field[:, 2 * Flow.GROUPS :], 2), scale_factor=DOWN // 2, mode="bilinear")
    return DOWN * (coarse + fine)


def move_picture(canvas: torch.Tensor, flow: torch.Tensor, left: int = 0) -> torch.Tensor:
    """canvas [N, 4, H, W'] sampled at each pixel plus flow [N, 2, H, W] (x, y, in pixels), W columns from `left` on.

    Bicubic, since it is done again in every frame and bilinear weights would blur. Channel 3, `known`, is 0 outside.
    """
    height, width = canvas.shape[2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device).unsqueeze(1) + flow[:, 1]
    x = torch.arange(left, left + flow.shape[3], dtype=flow.dtype, device=flow.device) + flow[:, 0]
    at = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    moved = F.grid_sample(canvas, at, mode="bicubic", padding_mode="border", align_corners=True)
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    return torch.cat([moved[:, :3].clamp(-0.5, 0.5), moved[:, 3:].clamp(0, 1) * inside.unsqueeze(1)], dim=1)


def fold_time(steps: list[torch.Tensor]) -> torch.Tensor:
    """T tensors [B, C, h, w] -> [BT, C, h, w], channels-last."""
    return torch.stack([s.permute(0, 2, 3, 1) for s in steps], dim=1).flatten(0, 1).permute(0, 3, 1, 2)
