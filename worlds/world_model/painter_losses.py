"""What the painter and its discriminator are trained on, in two stages.

Warm-up: damaged real frames (degrade.py) back to what they were. Then in the loop: one step of walks (walks.py) with
gradient through the painter alone, against the discriminator, on the true frame where that is known, and on what it is
given where nothing needs to change; warm-up pairs go on beside it. Alone, a painter from the warm-up explodes by the
eighth frame of its own.

N rows, H x W the frame's pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.worlds.training.task import Step
from terrarium.worlds.world_model.degrade import degrade
from terrarium.worlds.world_model.discriminator import WEIGHTS, Answers, Discriminator, roughness
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.painter import Painter
from terrarium.worlds.world_model.rollout import TEMPERATURE, compose_next, show
from terrarium.worlds.world_model.tokenizer import to_pictures
from terrarium.worlds.world_model.walks import EVERY, YOUNG, Turn, Walks

ADVERSARIAL = 3.5
PAIRED = 40.0  # weight of the true frame, at the first frame of a walk
TELLS = 4.0  # frames after which the true frame counts for 1 / e
IDENTITY = 20.0  # weight of what was moved, where it is fresh
OLD = 0.1  # of that weight is left where it is not
COLOURS = 30.0  # weight of how far the colours of all walks lie from those of real frames
CELL, BANDS, DIRECTIONS = 8, 4, 16  # pixels a side, from top to bottom, of colours
RESTORED = 10.0  # weight of warm-up pairs in the loop
TEXTURES = 40.0  # weight of how far their roughness lies from the same
OVERSHOOT = 25.0  # weight of colours out of range
LAZY = 2  # steps between penalties on the discriminator, of the cells' answers and of the whole picture's in turn
NOISE = (0.015, 0.05)  # of the two, in units of the range of colours
PENALTY = (200.0, 40.0)  # likewise
DRIFT = 1e-3

Metrics = dict[str, torch.Tensor]


class Painting(nn.Module):
    """A world model with a painter, and the discriminator."""

    def __init__(self, dynamics: Dynamics, channels: int) -> None:
        super().__init__()
        dynamics.painter = Painter(channels).to(dynamics.device)
        self.dynamics = dynamics
        self.discriminator = Discriminator(dynamics.tokenizer).to(dynamics.device)

    @property
    def painter(self) -> Painter:
        assert self.dynamics.painter is not None
        return self.dynamics.painter


def warm_up_loss(model: Painting, frames: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
    """frames uint8 [N, H, W, 3]."""
    pictures = to_pictures(frames)
    damaged, clues = degrade(model.dynamics.tokenizer, pictures)
    painted = model.painter(damaged, clues)
    loss = unlikeness(painted, pictures).mean() + beyond(painted)
    with torch.no_grad():
        before = (damaged - pictures).abs().mean()
    return loss, {"mended": 1 - (painted.detach() - pictures).abs().mean() / before}


class Loop:
    """The losses of the second stage; the painter's turn comes first and makes what the discriminator is shown."""

    def __init__(self, model: Painting, pools: list[Walks], rows: int, rough: torch.Tensor, steps: int) -> None:
        """A pool for each part of a batch that this process computes, `rows` of whose long walks go on in a step;
        `rough` [3] is the world's mean roughness."""
        self.model, self.pools, self.rows, self.steps = model, pools, rows, steps
        self.rough = rough.view(3, 1, 1)
        self.shown: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # a part of the batch: real and painted pictures

    def painter_loss(
        self, step: Step, frames: torch.Tensor, clip: torch.Tensor, actions: torch.Tensor, where: torch.Tensor
    ) -> tuple[torch.Tensor, Metrics]:
        """Real frames uint8 [`rows` + all walks, H, W, 3]; a clip to begin a walk with, and where its last frame is."""
        model, index = self.model, step.index - step.begins
        walks = self.pools[step.part[0] % len(self.pools)]
        dynamics = model.dynamics
        with torch.no_grad():
            if index % EVERY == 0:
                walks.start(index // EVERY, index / self.steps, clip, actions, where, step.rng)
            turn = walks.turn(self.rows, step.rng)
            state = turn.state
            before = state.codes.unsqueeze(1), state.picture.unsqueeze(1), turn.actions.unsqueeze(1), state.memory
            composed = compose_next(dynamics, dynamics(*before), TEMPERATURE)
            real = to_pictures(torch.where(turn.follows.view(-1, 1, 1, 1), turn.real, frames[-len(turn.rows) :]))
        given = composed.state.picture
        painted = model.painter(given, composed.clues)
        shown = torch.where(composed.moves.view(-1, 1, 1, 1), painted, given)
        with torch.no_grad():
            walks.go_on(turn, show(dynamics, composed, painted.detach()), step.rng)
            answers = model.discriminator(real)
            others = walks.pictures_but(turn.rows)
            as_many = torch.cat([real, to_pictures(frames[: len(others)])])
        self.shown[step.part[0]] = real, shown.detach().clamp(-0.5, 0.5)
        walked = torch.cat([shown, others])
        mask, _, fresh = composed.clues.split(1, dim=1)
        kept = (mask > 0.5).to(shown.dtype)
        losses = {
            "adversarial": ADVERSARIAL * relative(model.discriminator(shown), answers),
            "paired": PAIRED * paired(shown, real, kept, turn),
            "identity": IDENTITY * ((shown - given).abs() * kept * (OLD + (1 - OLD) * fresh)).mean(),
            "overshoot": OVERSHOOT * beyond(shown),
            "colours": COLOURS * sliced_distance(*(F.avg_pool2d(x, CELL) for x in (walked, as_many))),
            "textures": TEXTURES * sliced_distance(*(roughness(x) / self.rough for x in (walked, as_many))),
            "restored": RESTORED * warm_up_loss(model, frames[: (self.rows + 1) // 2])[0],
        }
        with torch.no_grad():
            metrics = {
                "roughness": (roughness(shown) / self.rough)[:, :2].mean(),
                "changed": (shown - given).abs().mean(),
                "walked": turn.frames.float().mean(),
            }
        return torch.stack(list(losses.values())).sum(), {k: v.detach() for k, v in losses.items()} | metrics

    def discriminator_loss(self, step: Step, *_: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
        model, index = self.model.discriminator, step.index - step.begins
        real, painted = self.shown.pop(step.part[0])
        pictures = torch.cat([real, painted])
        answers = model(pictures)
        of_real, of_painted = ([x.chunk(2)[i] for x in answers] for i in (0, 1))
        loss = relative(of_real, of_painted)
        loss = loss + DRIFT * torch.stack([x.square().mean() for x in answers]).sum()
        if index % LAZY == 0:
            loss = loss + penalty(model, pictures, answers, whole=index // LAZY % 2 == 1)
        gaps = {
            f"gap_{name}": (a - b).mean().detach()
            for name, a, b in zip(("4", "8", "all"), of_real, of_painted, strict=True)
        }
        return loss, gaps


def relative(better: Answers, worse: Answers) -> torch.Tensor:
    """How far from `better` above `worse`, place by place, in softplus (relativistic pairing, Jolicoeur-Martineau
    2018, arXiv:1807.00734; Huang et al. 2025, arXiv:2501.05441)."""
    losses = [w * F.softplus(b - a).mean() for w, a, b in zip(WEIGHTS, better, worse, strict=True)]
    return torch.stack(losses).sum()


def penalty(model: Discriminator, pictures: torch.Tensor, answers: Answers, *, whole: bool) -> torch.Tensor:
    """Mean square of how far noise changes the answers, a gradient penalty without second derivatives (Lin et al. 2025,
    arXiv:2501.08316)."""
    noisy = model(pictures + NOISE[whole] * torch.randn_like(pictures))
    parts = slice(2, 3) if whole else slice(0, 2)
    changes = [(a - b).square().mean() for a, b in zip(noisy[parts], answers[parts], strict=True)]
    return PENALTY[whole] * torch.stack(changes).sum()


def sliced_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Sliced Wasserstein distance (Heitz et al. 2021, arXiv:2006.07229) between the cells of two batches of pictures
    [N, 3, h, w], in BANDS from top to bottom, along random directions.

    Repainted every frame, dark walls go black, others brick, and paving cracks: too slowly for the discriminator's
    slope, but it shows in how often a colour or a roughness occurs. Of all walks together, each against its like in
    order, so that dark walls do not make up for cracked ones.
    """
    directions = F.normalize(torch.randn(DIRECTIONS, 3, device=a.device), dim=1)

    def ordered(cells: torch.Tensor) -> list[torch.Tensor]:
        """Each band's cells along each direction, smallest first."""
        along = (directions[:, None, :, None, None] * cells).sum(dim=2)
        return [band.flatten(1).sort(dim=1).values for band in along.chunk(BANDS, dim=2)]

    return torch.stack([(x - y).abs().mean() for x, y in zip(ordered(a), ordered(b), strict=True)]).mean()


def paired(shown: torch.Tensor, real: torch.Tensor, kept: torch.Tensor, turn: Turn) -> torch.Tensor:
    """Unlikeness of the young rows to the true frames, less the longer they have walked; drawn pixels count double."""
    weight = torch.exp(-(turn.frames - 1) / TELLS) * (turn.rows < YOUNG)
    each = (unlikeness(shown, real) * (2 - kept)).mean(dim=(1, 2, 3))
    return (each * weight.to(each.device)).sum() / YOUNG


def unlikeness(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Absolute difference of pictures and half of that of their slopes, [N, 3, H, W]."""
    d = a - b
    return d.abs() + 0.5 * (F.pad(d.diff(dim=3).abs(), (0, 1)) + F.pad(d.diff(dim=2).abs(), (0, 0, 0, 1)))


def beyond(pictures: torch.Tensor) -> torch.Tensor:
    """How far colours lie out of their range."""
    return F.relu(pictures.abs() - 0.5).mean()
