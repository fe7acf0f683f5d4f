"""VQ-VAE: a frame to a grid of codes, four times smaller each way, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import nn

from terrarium.kernels import cpu
from terrarium.worlds.checkpoint import build, load_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.precision import FullWeights, precision_now, wide
from terrarium.worlds.world_model.kinds import TokenizerConfig
from terrarium.worlds.world_model.manifest import check_tokenizer
from terrarium.worlds.world_model.quantise import make_quantiser


class ResBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(cpu.silu(self.conv1(self._normalized(x))))

    def _normalized(self, x: torch.Tensor) -> torch.Tensor:
        """silu(norm(x))"""
        norm = self.norm
        if (programs := cpu.used(x)) and not norm.weight.requires_grad:
            return cpu.group_norm_silu(programs, x, norm.num_groups, norm.weight, norm.bias, compute_dtype(x))
        return F.silu(norm(x))


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """What convolutions take and give here."""
    return torch.bfloat16 if precision_now(x.device) == "bf16" else x.dtype


class Halving(nn.Conv2d):
    """The first convolution: pictures [N, 3, H, W] -> [N, C, H / 2, W / 2]."""

    def __init__(self, channels: int) -> None:
        super().__init__(3, channels, 4, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weight, self.bias
        programs = cpu.used(x) if x.dtype == weight.dtype == torch.float32 else None
        if programs is None or bias is None or bias.requires_grad or not cpu.takes_halving(len(bias), *x.shape[2:]):
            return super().forward(x)
        return cpu.halve(programs, x, weight, bias, compute_dtype(x))


class Tokenizer(FullWeights):
    """Frames are float [B, 3, H, W] in [0, 1]; H and W are multiples of 4. Codes are int64 [B, H/4, W/4]."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        c, wide = config.channels, 2 * config.channels
        self.config = config
        self.quantiser = make_quantiser(config)
        self.encoder = nn.Sequential(
            Halving(c),
            cpu.SiLU(),
            nn.Conv2d(c, wide, 4, stride=2, padding=1),
            ResBlock(wide),
            ResBlock(wide),
            nn.Conv2d(wide, self.quantiser.dim, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(self.quantiser.dim, wide, 3, padding=1),
            ResBlock(wide),
            ResBlock(wide),
            nn.Conv2d(wide, 4 * c, 1),
            nn.PixelShuffle(2),
            ResBlock(c),
            nn.Conv2d(c, 3 * 4, 3, padding=1),
            nn.PixelShuffle(2),
        )

    @property
    def factors(self) -> list[int]:
        return self.quantiser.factors

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """-> reconstruction [B, 3, H, W] (unclamped), codes [B, h, w], quantiser loss."""
        quantised, codes, loss = self.quantiser(self.encoder(frames - 0.5))
        return wide(self.decoder(quantised)) + 0.5, codes, loss

    @torch.no_grad()
    def encode(self, frames: np.ndarray | torch.Tensor, batch: int = 256) -> torch.Tensor:
        """uint8 [N, H, W, 3] -> codes int64 [N, h, w]."""
        device = next(self.parameters()).device
        out = []
        for i in range(0, len(frames), batch):
            x = to_input(np.asarray(frames[i : i + batch])).to(device)
            out.append(self.quantiser(self.encoder(x - 0.5))[1])
        return torch.cat(out)

    @torch.no_grad()
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """codes int64 [N, h, w] -> uint8 [N, H, W, 3]."""
        return to_frames(self.decoder(self.quantiser.decode(codes)))


def to_input(frames: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, H, W] in [0, 1], channels-last in memory."""
    return _as_tensor(frames).movedim(-1, 1).float().div_(255)


def to_pictures(frames: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 [..., H, W, 3] -> float [..., 3, H, W] in [-.5, .5], as the networks pass them."""
    return _as_tensor(frames).movedim(-1, -3).float().div_(255).sub_(0.5)


def _as_tensor(frames: np.ndarray | torch.Tensor) -> torch.Tensor:
    return frames if isinstance(frames, torch.Tensor) else torch.tensor(frames)  # a copy: memory maps are read-only


def to_frames(pictures: torch.Tensor) -> torch.Tensor:
    """float [N, 3, H, W] in [-.5, .5], as the networks pass them -> uint8 [N, H, W, 3]."""
    return ((wide(pictures) + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).movedim(1, -1)


M = TypeVar("M", bound=nn.Module)


def channels_last(module: M) -> M:
    """The module with its weights in channels-last memory, where convolutions on CPUs are fastest."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def tokenizer_from(manifest: dict[str, Any]) -> Tokenizer:
    """An untrained tokenizer of the shape that a manifest's `tokenizer` config records."""
    config = TypeAdapter(TokenizerConfig).validate_python(manifest["tokenizer"])
    return channels_last(Tokenizer(config))


def load_tokenizer(folder: Path) -> tuple[Tokenizer, dict[str, Any]]:
    """-> tokenizer in eval mode on the default device, manifest; of a world model's folder: the tokenizer in it, and
    the world model's."""
    tensors, manifest = load_checkpoint(folder, "tokenizer", "world-model")
    if manifest["kind"] == "world-model":
        tensors = {k.removeprefix("tokenizer."): v for k, v in tensors.items() if k.startswith("tokenizer.")}
    check_tokenizer(manifest, folder)
    tokenizer = build(lambda: tokenizer_from(manifest), tensors, folder)
    return tokenizer.to(default_device()).eval(), manifest
