"""From noise to worlds: DDPM, DDIM (Song et al. 2021, arXiv:2010.02502) and DPM-Solver++ of second order (Lu et al.
2022, arXiv:2211.01095), which needs the fewest steps. All take any alpha and sigma, so they walk straight paths too.

A world depends on its seed alone, not on the batch that it is drawn in, but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.generators.codes import decode, encode
from terrarium.worlds.generators.model import STEPS, Generator

Sampler = Literal["ddim", "ddpm", "dpm"]
AGAIN = 3  # times each step is taken where blocks are kept, so that the new ones come to fit them (RePaint)


class Levels(Protocol):
    """How much of the world and of the noise there is at each time, [STEPS]."""

    alpha: Tensor
    sigma: Tensor


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How worlds are drawn; `seeds`, one a world. `eta`, of ddim, is how much of a step is fresh noise: 1 is DDPM."""

    seeds: tuple[int, ...]
    sampler: Sampler = "ddim"
    steps: int = 20
    cfg: float = 3.0
    eta: float = 0.0
    negative: str = ""


@dataclass(frozen=True, eq=False)
class Kept:
    """Blocks uint8 [S, S, S] that stay where `where` bool [S, S, S] says."""

    blocks: np.ndarray
    where: np.ndarray


class Noises:
    """Standard normal noise for each seed, from its own source."""

    def __init__(self, generator: Generator, seeds: Sequence[int]) -> None:
        self.shape, self.device = generator.shape, generator.alpha.device
        self.sources = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(self) -> Tensor:
        """[B, CHANNELS, S, S, S]."""
        return torch.stack([torch.randn(self.shape, generator=source) for source in self.sources]).to(self.device)


@torch.no_grad()
def sample(generator: Generator, captions: Sequence[str], plan: Plan, kept: Kept | None = None) -> list[np.ndarray]:
    """A world for each caption, uint8 [S, S, S] of palette ids. ValueError for a caption without a known word."""
    said, others = generator.say(captions), generator.say([plan.negative] * len(captions))
    noises = Noises(generator, plan.seeds)
    z, before = noises.draw(), None
    for now, then, again in steps_of(plan.steps, kept is not None):
        if kept is not None:
            z = holding(generator, z, now, kept, noises)
        t = torch.full((len(z),), now, device=z.device)
        clean = generator.clean(generator.guided(z, t, said, others, plan.cfg), z, t)
        if plan.sampler == "dpm":
            z = second_order(generator, z, clean, before, now, then)
            before = None if again else (now, clean)
        else:
            mean, deviation = posterior(generator, z, clean, now, then, 1.0 if plan.sampler == "ddpm" else plan.eta)
            z = mean + deviation * noises.draw() if deviation else mean
        if again:
            z = noisier(generator, z, then, now, noises)
    worlds = list(decode(clean).cpu().numpy())
    return worlds if kept is None else [np.where(kept.where, kept.blocks, world) for world in worlds]


def steps_of(count: int, repeated: bool) -> Iterator[tuple[int, int, bool]]:
    """(time, the next one, whether to go back to the first); each step AGAIN times if `repeated`, but for the last."""
    times = torch.linspace(STEPS - 1, 0, count + 1).long().tolist()
    for now, then in pairwise(times):
        turns = AGAIN if repeated and then > 0 else 1
        for turn in range(turns):
            yield now, then, turn + 1 < turns


def posterior(generator: Levels, z: Tensor, clean: Tensor, now: int, then: int, eta: float) -> tuple[Tensor, float]:
    """Mean and deviation of z at the time `then`, given z and its clean world at `now`."""
    (alpha, sigma), (alpha_then, sigma_then) = at(generator, now), at(generator, then)
    old = (alpha * sigma_then / (alpha_then * sigma)) ** 2  # share of the variance that need not be fresh
    deviation = eta * sigma_then * math.sqrt(1 - old)
    eps = (z - alpha * clean) / sigma
    return alpha_then * clean + math.sqrt(sigma_then**2 - deviation**2) * eps, deviation


def second_order(
    generator: Generator, z: Tensor, clean: Tensor, before: tuple[int, Tensor] | None, now: int, then: int
) -> Tensor:
    """z at `then` by DPM-Solver++(2M); `before`: the time of the step before and its clean world."""
    (_, sigma), (alpha_then, sigma_then) = at(generator, now), at(generator, then)
    h = half_log_snr(generator, then) - half_log_snr(generator, now)
    if before is not None:
        earlier, clean_earlier = before
        ratio = (half_log_snr(generator, now) - half_log_snr(generator, earlier)) / h
        clean = clean + (clean - clean_earlier) / (2 * ratio)
    return sigma_then / sigma * z - alpha_then * math.expm1(-h) * clean


def noisier(generator: Generator, z: Tensor, now: int, then: int, noises: Noises) -> Tensor:
    """z at an earlier step's time `then`, of which `now` is less noisy."""
    (alpha, sigma), (alpha_then, sigma_then) = at(generator, now), at(generator, then)
    ratio = alpha_then / alpha
    return ratio * z + math.sqrt(sigma_then**2 - (ratio * sigma) ** 2) * noises.draw()


def holding(generator: Generator, z: Tensor, now: int, kept: Kept, noises: Noises) -> Tensor:
    """z with what is kept in its place, as noisy as the rest (RePaint, Lugmayr et al. 2022, arXiv:2201.09865)."""
    alpha, sigma = at(generator, now)
    known = encode(torch.from_numpy(kept.blocks).to(z.device)[None])
    return torch.where(torch.from_numpy(kept.where).to(z.device), alpha * known + sigma * noises.draw(), z)


def at(generator: Levels, t: int) -> tuple[float, float]:
    """alpha and sigma."""
    return float(generator.alpha[t]), float(generator.sigma[t])


def half_log_snr(generator: Generator, t: int) -> float:
    alpha, sigma = at(generator, t)
    return math.log(alpha / sigma)
