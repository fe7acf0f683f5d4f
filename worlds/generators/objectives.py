"""How a reward is followed: nabla-DB (nabla.py), and what it is compared with.

nabla   residual nabla-DB on some transitions of the generator's own walks
refl    the reward of the clean world expected at a late time, by gradient through one prediction (Xu et al. 2023,
        arXiv:2304.05977)
draft   that of the last world, by gradient through the last K steps (Clark et al. 2023, arXiv:2309.17400)
ddpo    policy gradients: steps are made likelier by how much better than the batch their world became (Black et al.
        2023, arXiv:2305.13301); the reward needs no gradient
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.generators.kinds import AlignConfig
from terrarium.worlds.generators.lora import Base, base_of
from terrarium.worlds.generators.model import Said
from terrarium.worlds.generators.nabla import clipped, residual, trust
from terrarium.worlds.generators.rewards import Reward, random_cameras
from terrarium.worlds.generators.samplers import at, posterior, steps_of
from terrarium.worlds.generators.snapshot import Snapshot
from terrarium.worlds.precision import in_full
from terrarium.worlds.voxels.camera import Camera

LATE = 0.25  # share of the steps, the last ones, from which refl draws its time
AT_ONCE = 2  # views of a world that memo_efficient_mode shows to a reward


@dataclass(eq=False)
class Follow:
    """A step of alignment: the generator with its adapters, what was said, and what is wanted; `captions` are what was
    said as words, for rewards that read."""

    generator: Base
    old: Snapshot
    reward: Reward
    config: AlignConfig
    said: Said
    others: Said
    captions: Sequence[str]
    rng: np.random.Generator

    def loss(self) -> tuple[Tensor, Tensor]:
        """-> loss, mean reward of the walks' worlds."""
        return METHODS[self.config.method](self)

    @property
    def transitions(self) -> list[tuple[int, int]]:
        return [(now, then) for now, then, _ in steps_of(self.config.sampling_steps, False)]

    def clean(self, z: Tensor, t: int) -> Tensor:
        """The clean world expected at z."""
        times = torch.full((len(z),), t, device=z.device)
        return self.generator.clean(self.generator.guided(z, times, self.said, self.others, self.config.cfg), z, times)

    def step(self, z: Tensor, now: int, then: int) -> Tensor:
        mean, deviation = posterior(self.generator, z, self.clean(z, now), now, then, self.config.eta)
        return mean + deviation * torch.randn_like(z)

    @torch.no_grad()
    def walk(self, transitions: Sequence[tuple[int, int]]) -> list[Tensor]:
        """From noise through these transitions: every z, first to last."""
        walked = [torch.randn(len(self.said.pooled), *self.generator.shape, device=self.said.pooled.device)]
        for now, then in transitions:
            walked.append(self.step(walked[-1], now, then))
        return walked

    def worth(self, clean: Tensor) -> Tensor:
        """Rewards of clean worlds, [B], seen from random sides."""
        config = self.config
        cameras = random_cameras(self.rng, self.generator.size, config.views, config.random_view)
        with in_full(clean):
            return (self.in_parts if config.memo_efficient_mode else self.seen)(clean, cameras)

    def seen(self, clean: Tensor, cameras: Sequence[Camera]) -> Tensor:
        return self.reward(self.generator.scene(clean, cameras, self.captions))

    def in_parts(self, clean: Tensor, cameras: Sequence[Camera]) -> Tensor:
        """As `seen`, but AT_ONCE views at a time, of which the gradient is kept and not the graph."""
        leaf = clean.detach().requires_grad_(clean.requires_grad)
        total, gradient = torch.zeros(len(clean), device=clean.device), torch.zeros_like(leaf)
        for first in range(0, len(cameras), AT_ONCE):
            part = cameras[first : first + AT_ONCE]
            worth = self.seen(leaf, part) * (len(part) / len(cameras))
            if leaf.requires_grad:
                gradient += torch.autograd.grad(worth.sum(), leaf)[0]
            total = total + worth.detach()
        return total + ((clean - clean.detach()) * gradient).flatten(1).sum(1)  # the value, with that gradient

    def pull(self, z: Tensor, t: int) -> Tensor:
        """Gradient in z of the reward of the clean world expected there."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            (found,) = torch.autograd.grad(self.worth(self.clean(z, t)).sum(), z)
        return clipped(found, self.config.reward_norm_value if self.config.reward_norm_clip else None)


def nabla(of: Follow) -> tuple[Tensor, Tensor]:
    config, generator, transitions = of.config, of.generator, of.transitions
    walked = of.walk(transitions)
    losses = []
    for i in chosen(len(transitions), config.timestep_fraction, of.rng):
        (now, then), z = transitions[i], walked[i]
        clean = of.clean(z, now)
        mean, deviation = posterior(generator, z, clean, now, then, config.eta)
        with torch.no_grad(), base_of(generator):
            mean_base, _ = posterior(generator, z, of.clean(z, now), now, then, config.eta)
        gamma = trust(at(generator, then)[0] ** 2, config.trust)
        loss = residual(mean, mean_base, deviation, of.pull(walked[i + 1], then), config.reward_scale * gamma)
        if config.unet_reg_scale:
            with torch.no_grad(), of.old.of(generator):
                before = of.clean(z, now)
            alpha, sigma = at(generator, now)
            loss = loss + config.unet_reg_scale * (alpha / sigma * (clean - before)).square().flatten(1).sum(1)
        losses.append(loss.mean())
    with torch.no_grad():
        worth = of.worth(of.clean(walked[-2], transitions[-1][0])).mean()
    return torch.stack(losses).mean(), worth


def refl(of: Follow) -> tuple[Tensor, Tensor]:
    transitions = of.transitions
    late = max(1, round(LATE * len(transitions)))
    last = int(of.rng.integers(len(transitions) - late, len(transitions)))
    z = of.walk(transitions[:last])[-1]
    worth = of.worth(of.clean(z, transitions[last][0])).mean()
    return -worth, worth.detach()


def draft(of: Follow) -> tuple[Tensor, Tensor]:
    transitions = of.transitions
    first = len(transitions) - min(of.config.draft_steps, len(transitions))
    z = of.walk(transitions[:first])[-1]
    for now, then in transitions[first:-1]:
        z = of.step(z, now, then)
    worth = of.worth(of.clean(z, transitions[-1][0])).mean()
    return -worth, worth.detach()


def ddpo(of: Follow) -> tuple[Tensor, Tensor]:
    config, transitions = of.config, of.transitions
    walked = of.walk(transitions)
    with torch.no_grad():
        worth = of.worth(of.clean(walked[-2], transitions[-1][0]))
        advantage = (worth - worth.mean()) / (worth.std() + 1e-6)
    losses = []
    for i in chosen(len(transitions), config.timestep_fraction, of.rng):
        now, then = transitions[i]
        mean, deviation = posterior(of.generator, walked[i], of.clean(walked[i], now), now, then, config.eta)
        likely = -((walked[i + 1] - mean) / deviation).square().flatten(1).mean(1) / 2
        losses.append(-(advantage * likely).mean())
    return torch.stack(losses).mean(), worth.mean()


METHODS: dict[str, Callable[[Follow], tuple[Tensor, Tensor]]] = {
    "nabla": nabla,
    "refl": refl,
    "draft": draft,
    "ddpo": ddpo,
}


def chosen(count: int, fraction: float, rng: np.random.Generator) -> list[int]:
    """One of each of `fraction` * `count` strata of the transitions, and of the last stratum the last."""
    strata = np.array_split(np.arange(count), max(1, round(fraction * count)))
    return [int(rng.choice(stratum)) for stratum in strata[:-1]] + [count - 1]
