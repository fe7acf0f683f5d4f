"""What a world model does to pictures in long rollouts, done to real frames, for the painter's warm-up.

Codes shuffled in blobs and in strips at an edge, bicubic warps, strokes along a field of directions, lost resolution,
shifted colours. Random numbers are drawn by torch's global generator.

N rows; H x W the frame's pixels; h x w the grid of codes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.picture import move_picture
from terrarium.worlds.world_model.tokenizer import Tokenizer

UNTOUCHED = 0.12  # of the rows: what needs nothing is to be left alone
ODDS = 0.5  # of each kind of damage in a row
WARP = 2.5  # pixels a sampling
STROKE = 1.5  # pixels of the shortest of three steps, each twice the one before
TINT = 0.1  # of the range of colours


@torch.no_grad()
def degrade(tokenizer: Tokenizer, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """pictures [N, 3, H, W] in [-.5, .5] -> the same damaged, and clues for the painter [N, 3, H, W]."""
    n, device = len(pictures), pictures.device
    x = _apply(pictures, _warp)
    x = _apply(x, _strokes)
    x = _apply(x, _coarser)
    x = _apply(x, _tint)
    made_up, strip = _where_codes_change(n, tokenizer, pictures)
    shuffled = _shuffle_codes(tokenizer, x)
    x = torch.where(made_up > 0, shuffled, x).clamp(-0.5, 0.5)
    touched = torch.rand(n, 1, 1, 1, device=device) >= UNTOUCHED
    made_up, strip = made_up * touched, strip * touched
    draw = torch.rand(2, n, 1, 1, 1, device=device)
    mask = torch.where(made_up > 0, 0.5 * draw[0], 1 - 0.5 * draw[0]) * (1 - strip)
    fresh = (1 - made_up) * draw[1] * torch.where(touched, 0.8, 1.0)
    return torch.where(touched, x, pictures), torch.cat([mask, 1 - strip, fresh], dim=1)


def _apply(pictures: torch.Tensor, damage: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    hit = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < ODDS
    return torch.where(hit, damage(pictures), pictures)


def _warp(pictures: torch.Tensor) -> torch.Tensor:
    """Sampled anew three times along small smooth flows."""
    for _ in range(3):
        pictures = sampled(pictures, WARP * smooth(pictures, 2, 6) * _amount(pictures))
    return pictures


def _strokes(pictures: torch.Tensor) -> torch.Tensor:
    """Averaged along lines through a smooth field of directions (line integral convolution, Cabral and Leedom 1993)."""
    angle = 3 * smooth(pictures, 1, 4)
    along = STROKE * torch.cat([angle.cos(), angle.sin()], dim=1) * _amount(pictures)
    for step in (1, 2, 4):
        pictures = (pictures + sampled(pictures, step * along)) / 2
    return pictures


def _coarser(pictures: torch.Tensor) -> torch.Tensor:
    """At a half or a quarter of the resolution."""
    half, quarter = (F.interpolate(F.avg_pool2d(pictures, k), size=pictures.shape[2:], mode="bilinear") for k in (2, 4))
    return torch.where(_amount(pictures) < 0.6, half, quarter)


def _tint(pictures: torch.Tensor) -> torch.Tensor:
    shift = torch.randn(*pictures.shape[:2], 1, 1, device=pictures.device)
    return (pictures + TINT * (shift + smooth(pictures, 3, 3)) / 2).clamp(-0.5, 0.5)


def _where_codes_change(n: int, tokenizer: Tokenizer, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """-> 1 where codes are shuffled, 1 in a strip that has just come into view (a part of it), both [N, 1, H, W]."""
    height, width = (side // DOWN for side in pictures.shape[2:])
    device = pictures.device
    blobs = smooth(pictures, 1, 6)[:, :, ::DOWN, ::DOWN] > 0.6 + torch.randn(n, 1, 1, 1, device=device)
    y, x = torch.meshgrid(
        torch.linspace(0, 1, height, device=device), torch.linspace(0, 1, width, device=device), indexing="ij"
    )
    from_edge = torch.stack([x, 1 - x, y, 1 - y])[torch.randint(4, (n,), device=device)].unsqueeze(1)
    strip = from_edge < 0.4 * torch.rand(n, 1, 1, 1, device=device)
    hits = torch.rand(2, n, 1, 1, 1, device=device) < ODDS
    blobs, strip = blobs & hits[0], strip & hits[1]
    return _pixels(blobs | strip), _pixels(strip)


def _pixels(cells: torch.Tensor) -> torch.Tensor:
    """bool [N, 1, h, w] -> float [N, 1, H, W]."""
    return F.interpolate(cells.float(), scale_factor=DOWN)


def _shuffle_codes(tokenizer: Tokenizer, pictures: torch.Tensor) -> torch.Tensor:
    """Decoded from codes that come from elsewhere: a piece of some row, with single codes from anywhere in it."""
    codes = tokenizer.quantiser(tokenizer.encoder(pictures.contiguous(memory_format=torch.channels_last)))[1]
    n, device = len(codes), codes.device
    shift = [int(torch.randint(side, ())) for side in codes.shape[1:]]
    other = codes[torch.randint(n, (n,), device=device)].roll(shift, dims=(1, 2))
    anywhere = codes.flatten()[torch.randint(codes.numel(), codes.shape, device=device)]
    loose = torch.rand(codes.shape, device=device) < 0.7 * torch.rand(n, 1, 1, device=device)
    return tokenizer.decoder(tokenizer.quantiser.decode(torch.where(loose, anywhere, other))).float()


def _amount(pictures: torch.Tensor) -> torch.Tensor:
    return torch.rand(len(pictures), 1, 1, 1, device=pictures.device)


def smooth(like: torch.Tensor, channels: int, cells: int) -> torch.Tensor:
    """Noise of about unit variance, [N, channels, H, W], that changes over H / cells pixels."""
    noise = torch.randn(len(like), channels, cells, cells, device=like.device)
    return F.interpolate(noise, size=like.shape[2:], mode="bicubic")


def sampled(pictures: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """[N, 3, H, W] at each pixel plus flow [N, 2, H, W] in pixels."""
    return move_picture(torch.cat([pictures, torch.ones_like(pictures[:, :1])], dim=1), flow)[:, :3]
