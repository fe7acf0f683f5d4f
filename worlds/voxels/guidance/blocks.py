"""Guidance by the project's own prior: score distillation in pixels, with no download.

The prior was shown every picture's direction of view, so it needs no words for it, and the clear sky behind everything.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.guidance import sds
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.kinds import GenerateConfig
from terrarium.worlds.voxels.prior.data import camera_at, random_view
from terrarium.worlds.voxels.prior.model import STEPS, Looking, load_prior


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


def shipped_prior() -> Path:
    """The weights that come with the project."""
    return Path(str(files("terrarium.worlds.voxels") / "shipped_prior"))


def make(config: GenerateConfig, shape: Shape) -> BlocksGuidance:
    """ValueError where there is no prompt, or the prior knows none of a prompt's words."""
    if not config.prompts:
        raise ValueError("guidance blocks has no prompt: expected at least one")
    return BlocksGuidance(config, shape)
