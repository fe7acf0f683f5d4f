"""Guidance by Stable Diffusion and Stable Diffusion XL, from any folder or hub id that diffusers can load.

The picture is enlarged to the size that the model was trained for and encoded by its VAE, in fp32 whatever the rest
computes in: that of SDXL overflows in fp16. The U-Net computes without a graph; noise follows the DDPM process of the
model's own betas, whichever sampler its folder names.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.device import default_device
from terrarium.worlds.voxels.camera import orbit
from terrarium.worlds.voxels.extra import diffusers
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.guidance import sds
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.kinds import GenerateConfig

MODELS = {
    "sd": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
}
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
ELEVATIONS_DEG = (5.0, 75.0)
SIDES_DEG = ((0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (0.0, 90.0))  # a view of each side that a prompt may name


class Said(NamedTuple):
    """A prompt and what to avoid, encoded: states [2, L, C], the negative first; SDXL's pooled ones [2, D]."""

    states: Tensor
    pooled: Tensor | None


class DiffusionGuidance:
    """`pipe` is a StableDiffusionPipeline or a StableDiffusionXLPipeline."""

    def __init__(self, pipe: Any, config: GenerateConfig, shape: Shape) -> None:
        self.config, self.shape = config, shape
        self.unet = pipe.unet.requires_grad_(False).eval()
        self.vae = pipe.vae.requires_grad_(False).eval().to(torch.float32)
        scheduler = diffusers().DDPMScheduler.from_config(pipe.scheduler.config)
        self.alphabar = scheduler.alphas_cumprod.to(self.unet.device)
        self.prediction = scheduler.config.prediction_type
        self.side = self.unet.config.sample_size * pipe.vae_scale_factor
        self.said = {prompt: self._encoded(pipe, prompt) for prompt in self._prompts()}

    def _prompts(self) -> set[str]:
        """All that a picture may be asked to be."""
        return {self._prompt(prompt, *angles) for prompt in self.config.prompts for angles in SIDES_DEG}

    def _prompt(self, prompt: str, azimuth_deg: float, elevation_deg: float) -> str:
        return sds.view_prompt(prompt, azimuth_deg, elevation_deg) if self.config.view_prompts else prompt

    @torch.no_grad()
    def _encoded(self, pipe: Any, prompt: str) -> Said:
        given, other, *pooled = pipe.encode_prompt(
            prompt,
            device=self.unet.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=self.config.negative_prompt,
        )
        return Said(torch.cat([other, given]), torch.cat([pooled[1], pooled[0]]) if pooled else None)

    def view(self, rng: np.random.Generator) -> View:
        azimuth_deg, elevation_deg = float(rng.uniform(0, 360)), float(rng.uniform(*ELEVATIONS_DEG))
        camera = orbit(self.shape, azimuth_deg, elevation_deg, self.config.image, self.config.image)
        return View(camera, -1, azimuth_deg, elevation_deg)

    def loss(self, rgb: Tensor, view: View, done: float, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        config = self.config
        z = self.latent(rgb)
        between = sds.SCHEDULES[config.schedule](done, config.t_min, config.t_max, config.t_end)
        t = sds.draw_time(between, len(self.alphabar), rng)
        prompt = sds.choose_prompt(config.prompts, config.prompt_weights, rng)
        said = self.said[self._prompt(prompt, view.azimuth_deg, view.elevation_deg)]
        noise = torch.from_numpy(rng.standard_normal(tuple(z.shape), np.float32)).to(z)
        gradient = self.gradient(z.detach(), noise, t, said)
        return sds.surrogate(z, gradient).to(rgb.device), {"t": float(t), "sds_gradient": float(gradient.norm())}

    def latent(self, rgb: Tensor) -> Tensor:
        """rgb [3, H, W] in [0, 1] -> the VAE's mean, scaled, float32 [1, C, side / 8, side / 8]; differentiable."""
        x = rgb.unsqueeze(0).to(self.vae.device, torch.float32)
        x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        return self.vae.encode(2 * x - 1).latent_dist.mean * self.vae.config.scaling_factor

    @torch.no_grad()
    def gradient(self, z: Tensor, noise: Tensor, t: int, said: Said) -> Tensor:
        """w(t) (eps_cfg - noise), float32 of z's shape."""
        alphabar = self.alphabar[t]
        noisy = sds.noised(z, noise, alphabar)
        added = None if said.pooled is None else {"text_embeds": said.pooled, "time_ids": self._time_ids(said.pooled)}
        made = self.unet(
            noisy.repeat(2, 1, 1, 1).to(self.unet.dtype),
            torch.tensor([t, t], device=z.device),
            said.states,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        other, given = sds.noise_of(made.float(), noisy, alphabar, self.prediction).chunk(2)
        return sds.WEIGHTINGS[self.config.weighting](alphabar) * (sds.guided(given, other, self.config.cfg) - noise)

    def _time_ids(self, like: Tensor) -> Tensor:
        """SDXL's size conditioning, [2, 6]: original size, crop, target size; a whole picture."""
        return torch.tensor([[self.side, self.side, 0, 0, self.side, self.side]] * 2).to(like)


def make(config: GenerateConfig, shape: Shape) -> DiffusionGuidance:
    """ValueError where diffusers is not installed, or the model or its LoRA cannot be loaded."""
    return DiffusionGuidance(load(config), config, shape)


def load(config: GenerateConfig) -> Any:
    """The pipeline that the config names, on the default device."""
    device = default_device()
    dtype = DTYPES["fp32" if device.type == "cpu" and config.dtype == "fp16" else config.dtype]
    model, local = config.model or MODELS[config.guidance], config.local_files_only
    kind = getattr(diffusers(), {"sd": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}[config.guidance])
    try:
        pipe = kind.from_pretrained(model, dtype=dtype, local_files_only=local)
    except (OSError, ValueError) as e:
        raise ValueError(f"model {model!r} cannot be loaded ({_first_line(e)}): {_expected(config)}") from None
    if config.lora is not None:
        try:
            pipe.load_lora_weights(config.lora, local_files_only=local)
            pipe.fuse_lora()
        except (OSError, ValueError) as e:
            raise ValueError(f"lora {config.lora!r} cannot be loaded ({_first_line(e)}): {_expected(config)}") from None
    return pipe.to(device)


def _expected(config: GenerateConfig) -> str:
    if config.local_files_only:
        return "expected a local folder or a model that was downloaded before, since local_files_only is set"
    return "expected a folder that diffusers saved, or an id on its hub"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
