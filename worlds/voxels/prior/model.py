"""The prior for blocks: a diffusion model of pictures of small built things, given a caption and a direction of view.

With alpha_t^2 = alphabar_t, sigma_t^2 = 1 - alphabar_t on the cosine schedule (Nichol & Dhariwal 2021,
arXiv:2102.09672), a noisy picture is z = alpha_t x + sigma_t eps. The network predicts the clean picture x, and from it

    eps = (z - alpha_t x) / sigma_t

A cell is 48 numbers wide and the network not much wider: x lies in few directions of these, eps in all, so x is what a
small network can say (Li & He 2025, arXiv:2511.13720). And score distillation asks at noise levels where almost nothing
of the picture is left: there the error of a predicted eps is divided by alpha_t on its way to x.

The U-Net works on cells of PATCH x PATCH pixels, 16 x 16 of them. Captions enter twice: pooled, beside the direction of
view, into every residual block, and word by word through cross-attention at 8 x 8 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.checkpoint import build, load_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.noise_schedule import cosine_alphabar
from terrarium.worlds.text_encoder import Captions
from terrarium.worlds.voxels.extra import diffusers

PICTURE = 64  # side in pixels
PATCH = 4
STEPS = 1000  # of the noise schedule


class Looking(NamedTuple):
    """From where pictures are seen, degrees [B] each, as in worlds/voxels/camera.py."""

    azimuth_deg: Tensor
    elevation_deg: Tensor

    def features(self) -> Tensor:
        """[B, 6], the same after a full turn."""
        azimuth, elevation = torch.deg2rad(self.azimuth_deg), torch.deg2rad(self.elevation_deg)
        turns = [f(k * azimuth) for k in (1, 2) for f in (torch.sin, torch.cos)]
        return torch.stack([*turns, torch.sin(elevation), torch.cos(elevation)], dim=1)


class Prior(nn.Module):
    """Predicts the clean pictures, in [-1, 1], of noisy ones [B, 3, 64, 64].

    `channels` [levels] and `text` are the widths of the U-Net and of the text encoder. ValueError without diffusers.
    """

    alphabar: Tensor  # [STEPS]

    def __init__(self, vocabulary: Sequence[str], channels: Sequence[int], text: int) -> None:
        super().__init__()
        self.captions = Captions(vocabulary, text)
        cells = 3 * PATCH**2
        self.unet = (
            diffusers()
            .UNet2DConditionModel(
                sample_size=PICTURE // PATCH,
                in_channels=cells,
                out_channels=cells,
                block_out_channels=tuple(channels),
                down_block_types=("DownBlock2D",) * len(channels),
                mid_block_type="UNetMidBlock2DCrossAttn",
                up_block_types=("UpBlock2D",) * len(channels),
                layers_per_block=1,
                norm_num_groups=8,
                cross_attention_dim=text,
                attention_head_dim=4,  # diffusers takes it for the number of heads
                resnet_time_scale_shift="scale_shift",
                class_embed_type="projection",
                projection_class_embeddings_input_dim=text + 6,
            )
            .to(memory_format=torch.channels_last)
        )
        self.register_buffer("alphabar", cosine_alphabar(STEPS), persistent=False)

    def forward(self, z: Tensor, t: Tensor, tokens: Tensor, looking: Looking) -> Tensor:
        """z [B, 3, 64, 64], t int64 [B] in [0, STEPS), tokens [B, L] -> x [B, 3, 64, 64]."""
        states, there, pooled = self.captions(tokens)
        cells = F.pixel_unshuffle(z, PATCH).contiguous(memory_format=torch.channels_last)
        given = torch.cat([pooled, looking.features().to(pooled)], dim=1)
        made = self.unet(cells, t, states, class_labels=given, encoder_attention_mask=there, return_dict=False)[0]
        return F.pixel_shuffle(made.float(), PATCH)

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t of t [B], [B, 1, 1, 1] each."""
        alphabar = self.alphabar[t].view(-1, 1, 1, 1)
        return alphabar.sqrt(), (1 - alphabar).sqrt()

    def guided(self, z: Tensor, t: Tensor, tokens: Tensor, others: Tensor, looking: Looking, cfg: float) -> Tensor:
        """x of z [B, ...] by classifier-free guidance, `cfg` times as far from `others` [B, L] as `tokens` [B, L]."""
        both = Looking(*(angle.repeat(2) for angle in looking))
        toward, away = self(z.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([tokens, others]), both).chunk(2)
        return away + cfg * (toward - away)

    @torch.no_grad()
    def sample(self, captions: Sequence[str], looking: Looking, *, cfg: float, steps: int, seed: int) -> Tensor:
        """Pictures [B, 3, 64, 64] in [0, 1] from noise alone, in so many steps."""
        shape = (len(captions), 3, PICTURE, PICTURE)
        z = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.alphabar.device)
        return self._walk(z, STEPS - 1, steps, captions, "", looking, cfg)

    @torch.no_grad()
    def redraw(
        self,
        pictures: Tensor,
        captions: Sequence[str],
        avoid: str,
        looking: Looking,
        *,
        since: float,
        cfg: float,
        steps: int,
        seed: int,
    ) -> Tensor:
        """Pictures [B, 3, 64, 64] in [0, 1] drawn again from what is left of them at the share `since` of the schedule.

        SDEdit (Meng et al. 2021, arXiv:2108.01073).
        """
        start = max(1, round(since * STEPS) - 1)
        noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed)).to(pictures)
        alpha, sigma = self.levels(torch.full((len(pictures),), start, device=pictures.device))
        z = alpha * (2 * pictures - 1) + sigma * noise
        return self._walk(z, start, steps, captions, avoid, looking, cfg)

    def _walk(
        self, z: Tensor, start: int, steps: int, captions: Sequence[str], avoid: str, looking: Looking, cfg: float
    ) -> Tensor:
        """From noisy pictures z at time `start` to clean ones, by DDIM (Song et al. 2021, arXiv:2010.02502)."""
        device = z.device
        given, other = self.captions.tokens([*captions, *[avoid] * len(captions)]).to(device).chunk(2)
        for now, then in pairwise(torch.linspace(start, 0, steps + 1).long()):
            t = now.expand(len(z)).to(device)
            alpha, sigma = self.levels(t)
            clean = self.guided(z, t, given, other, looking, cfg).clamp(-1, 1)
            noise = (z - alpha * clean) / sigma
            alpha, sigma = self.levels(then.expand(len(z)).to(device))
            z = alpha * clean + sigma * noise
        return (0.5 + 0.5 * clean).clamp(0, 1)


def load_prior(folder: Path) -> tuple[Prior, dict[str, Any]]:
    """-> prior in eval mode on the default device, manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, "voxel-prior")
    shape = manifest["model"]
    wide = {k: v.float() for k, v in tensors.items()}  # shipped ones are stored in bf16
    prior = build(lambda: Prior(manifest["vocabulary"], shape["channels"], shape["text"]), wide, folder)
    return prior.to(default_device()).eval().requires_grad_(False), manifest
