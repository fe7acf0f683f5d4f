"""Guidance by the project's own prior: score distillation in pixels, with no download.

The prior was shown every picture's direction of view, so it needs no words for it, and the clear sky behind everything.

Distillation follows the mean of all pictures that a caption allows, and the mean of stone in sun and shade is nearer to
water's blue than to stone. So a finished world is drawn again by the prior, from all around (SDEdit), and blocks are
changed one by one while its pictures come nearer to those: materials first, then whatever a change betters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.voxels import finish
from terrarium.worlds.voxels.camera import GOLDEN_DEG
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.guidance import sds
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.kinds import GenerateConfig
from terrarium.worlds.voxels.prior.data import ELEVATIONS_DEG, camera_at, random_view
from terrarium.worlds.voxels.prior.model import STEPS, Looking, load_prior
from terrarium.worlds.voxels.render import of_blocks, render

AROUND = 16  # pictures of a finished world, evenly in azimuth, from low to high
# From which share of the schedule they are drawn again; whether materials alone change; the loss of two blocks of
# different types that touch. Pictures drawn one by one do not agree in detail, so the world is evened, but not before
# its walls are of what the pictures show: a single block of a wrong wall is held by its neighbours.
REDRAWN = ((0.9, True, 0.0), (0.6, False, 0.15))
CFG, DDIM_STEPS = 3.0, 10  # of these pictures; distillation's guidance is stronger, since its pull is weak


class BlocksGuidance:
    """Toward what the prior draws for the prompts of `config`, one of them a picture."""

    def __init__(self, config: GenerateConfig, shape: Shape) -> None:
        self.config, self.shape = config, shape
        self.prior, self.manifest = load_prior(Path(config.prior) if config.prior else shipped_prior())
        for prompt in (*config.prompts, config.negative_prompt):
            self.prior.captions.numbers(prompt)

    def view(self, rng: np.random.Generator) -> View:
        azimuth_deg, elevation_deg = random_view(rng)
        return View(camera_at(self.shape, azimuth_deg, elevation_deg), -1, azimuth_deg, elevation_deg)

    def loss(self, rgb: Tensor, view: View, done: float, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        config, prior = self.config, self.prior
        z = 2 * rgb.unsqueeze(0) - 1
        between = sds.SCHEDULES[config.schedule](done, config.t_min, config.t_max, config.t_end)
        t = torch.tensor([sds.draw_time(between, STEPS, rng)], device=z.device)
        prompt = sds.choose_prompt(config.prompts, config.prompt_weights, rng)
        given, other = prior.captions.tokens([prompt, config.negative_prompt]).to(z.device).split(1)
        angles = torch.tensor([view.azimuth_deg, view.elevation_deg], device=z.device)
        noise = torch.from_numpy(rng.standard_normal(z.shape, np.float32)).to(z)
        alphabar = prior.alphabar[t]
        with torch.no_grad():
            noisy = sds.noised(z, noise, alphabar)
            clean = prior.guided(noisy, t, given, other, Looking(*angles.split(1)), config.cfg)
            eps = sds.noise_of(clean, noisy, alphabar, "sample")
            gradient = sds.WEIGHTINGS[config.weighting](alphabar) * (eps - noise)
        return sds.surrogate(z, gradient), {"t": float(t), "sds_gradient": float(gradient.norm())}

    def finished(self, blocks: np.ndarray, rounds: int, alive: Callable[[], None]) -> np.ndarray:
        views = [self.around(i) for i in range(AROUND)]
        for since, materials_only, uneven in REDRAWN:
            alive()
            wanted = finish.Wanted(views, self.redrawn(blocks, views, since), uneven)
            blocks = finish.finished(blocks, wanted, rounds, materials_only=materials_only, alive=alive)
        return blocks

    def around(self, i: int) -> View:
        azimuth_deg = i * GOLDEN_DEG % 360
        elevation_deg = ELEVATIONS_DEG[0] + (ELEVATIONS_DEG[1] - ELEVATIONS_DEG[0]) * (i + 0.5) / AROUND
        return View(camera_at(self.shape, azimuth_deg, elevation_deg), i, azimuth_deg, elevation_deg)

    @torch.no_grad()
    def redrawn(self, blocks: np.ndarray, views: Sequence[View], since: float) -> Tensor:
        """Pictures [N, H, W, 3] of the blocks as the prior would have them, each for a prompt by its weight."""
        config, device = self.config, self.prior.alphabar.device
        alpha, colour = of_blocks(blocks)
        pictures = torch.stack([render(alpha, colour, view.camera).rgb.permute(2, 0, 1) for view in views]).to(device)
        looking = Looking(
            torch.tensor([view.azimuth_deg for view in views], device=device),
            torch.tensor([view.elevation_deg for view in views], device=device),
        )
        rng = np.random.default_rng(config.seed)
        prompts = [sds.choose_prompt(config.prompts, config.prompt_weights, rng) for _ in views]
        made = self.prior.redraw(
            pictures,
            prompts,
            config.negative_prompt,
            looking,
            since=since,
            cfg=CFG,
            steps=DDIM_STEPS,
            seed=config.seed,
        )
        return made.permute(0, 2, 3, 1).contiguous().cpu()


def shipped_prior() -> Path:
    """The weights that come with the project."""
    return Path(str(files("terrarium.worlds.voxels") / "shipped_prior"))


def make(config: GenerateConfig, shape: Shape) -> BlocksGuidance:
    """ValueError where there is no prompt, or the prior knows none of a prompt's words."""
    if not config.prompts:
        raise ValueError("guidance blocks has no prompt: expected at least one")
    return BlocksGuidance(config, shape)
