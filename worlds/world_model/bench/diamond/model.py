"""DIAMOND's world model (Alonso et al. 2024, arXiv:2405.12399), written anew behind what our evaluation asks for.

The next frame is denoised from noise, given the last PAST frames, stacked as channels, and the actions after each of
them. One thing differs: the published model looks up each discrete action in a table; here keys are held together and
the camera turns by degrees, so an action is embedded by a linear map of its columns, which for one key at a time is
that table.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from terrarium.worlds.precision import wide
from terrarium.worlds.world_model.bench.diamond.edm import (
    SIGMA_DATA,
    add_noise,
    draw_sigma,
    euler,
    scalings,
    sigmas,
)
from terrarium.worlds.world_model.bench.diamond.unet import UNet, group_norm
from terrarium.worlds.world_model.dynamics import Memory
from terrarium.worlds.world_model.rollout import Peer, State
from terrarium.worlds.world_model.tokenizer import Tokenizer, to_pictures

PAST = 4  # frames, and as many actions
BLOCKS = 2  # of each level
CONDITION = 256
CHANNELS = (64, 64, 64, 64)  # of the levels


class Diamond(Peer):
    """`actions` is the number of an action's columns. Frames within are in [-1, 1], of a size that halves at each level
    but the first."""

    frequencies: torch.Tensor

    def __init__(self, tokenizer: Tokenizer, actions: int, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(False)
        self.register_buffer("frequencies", 2 * math.pi * torch.randn(CONDITION // 2))
        self.action = nn.Linear(actions, CONDITION // PAST, bias=False)
        self.condition = nn.Sequential(nn.Linear(CONDITION, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION))
        self.first = nn.Conv2d(3 * (PAST + 1), channels[0], 3, padding=1)
        self.unet = UNet(channels, BLOCKS, CONDITION)
        self.norm = group_norm(channels[0])
        self.last = nn.Conv2d(channels[0], 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    @property
    def device(self) -> torch.device:
        return self.frequencies.device

    def forward(
        self, scaled: torch.Tensor, c_noise: torch.Tensor, past: torch.Tensor, actions: torch.Tensor
    ) -> torch.Tensor:
        """The network F of edm.py: a noisy frame times c_in [B, 3, H, W], c_noise [B], past frames [B, 3 PAST, H, W] of
        unit variance, actions [B, PAST, A] -> [B, 3, H, W]."""
        angles = c_noise.unsqueeze(1) * self.frequencies
        level = torch.cat([angles.cos(), angles.sin()], dim=1)
        told = self.condition(level + self.action(actions).flatten(1))
        x = torch.cat([past, scaled], dim=1).contiguous(memory_format=torch.channels_last)
        return wide(self.last(F.silu(self.norm(self.unet(self.first(x), told)))))

    def denoising_loss(
        self, past: torch.Tensor, actions: torch.Tensor, after: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """How far F is from the mixture that makes D the frame `after` [B, 3, H, W], mean squared (EDM, equation 8)."""
        s = scalings(sigma)
        noisy = add_noise(after, sigma)
        target = (after - s.c_skip * noisy) / s.c_out
        return F.mse_loss(self._mixture(noisy, sigma, past, actions), target)

    def loss(self, frames: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Clips uint8 [B, PAST + 1, H, W, 3] and the actions between their frames [B, PAST, A]."""
        pictures = 2 * to_pictures(frames)
        sigma = draw_sigma(len(frames), frames.device)
        return self.denoising_loss(pictures[:, :-1].flatten(1, 2), actions, pictures[:, -1], sigma)

    def denoise(
        self, noisy: torch.Tensor, sigma: torch.Tensor, past: torch.Tensor, actions: torch.Tensor
    ) -> torch.Tensor:
        """D of edm.py, in the 256 levels of a frame, as the published sampler has it."""
        s = scalings(sigma)
        clean = s.c_skip * noisy + s.c_out * self._mixture(noisy, sigma, past, actions)
        return (clean.clamp(-1, 1).add(1) * 127.5).round() / 127.5 - 1

    def _mixture(
        self, noisy: torch.Tensor, sigma: torch.Tensor, past: torch.Tensor, actions: torch.Tensor
    ) -> torch.Tensor:
        s = scalings(sigma)
        return self(s.c_in * noisy, s.c_noise, past / SIGMA_DATA, actions)

    def burn_in(self, frames: np.ndarray, actions: torch.Tensor) -> State:
        """All but the last PAST frames are of no use to it."""
        if frames.shape[1] < PAST:
            raise ValueError(f"{frames.shape[1]} frames before the first step: expected at least {PAST}")
        pictures = to_pictures(frames[:, -PAST:]).to(self.device)
        return self._state(pictures, actions[:, actions.shape[1] - (PAST - 1) :])

    def step(self, state: State, action: torch.Tensor) -> State:
        """See `Peer.step`."""
        past = state.memory.layers[0]
        actions = torch.cat([state.memory.recent, action.unsqueeze(1)], dim=1)

        def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return self.denoise(x, sigma, 2 * past, actions)

        noise = torch.randn_like(state.picture)  # of deviation 1, not SIGMA_MAX: so the published sampler begins
        picture = euler(denoise, noise, sigmas().to(self.device)) / 2
        pictures = torch.cat([past[:, 3:], picture], dim=1).unflatten(1, (PAST, 3))
        return self._state(pictures, actions[:, 1:])

    def _state(self, pictures: torch.Tensor, actions: torch.Tensor) -> State:
        """The last PAST pictures [B, PAST, 3, H, W] in [-.5, .5] and the actions between them [B, PAST - 1, A] as a
        state: its `layers` and `recent`; the rest of it is empty."""
        empty = pictures.new_empty(len(pictures), 0)
        memory = Memory([pictures.flatten(1, 2)], empty, empty, actions, empty, empty, empty)
        return State(empty.long(), pictures[:, -1], memory)
