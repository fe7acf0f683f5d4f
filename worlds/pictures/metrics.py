"""Picture metrics on uint8 frames, and the strips that reports show. NumPy alone, but for SSIM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB over the last three axes; uint8 [..., H, W, 3] -> float [...]. At most 60."""
    mse = np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2, axis=(-3, -2, -1))
    return 10 * np.log10(255.0**2 / np.maximum(mse, 255.0**2 * 1e-6))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean structural similarity over the last three axes (kernels/ssim); uint8 [..., H, W, 3] -> float [...].

    At most 1. ValueError where H or W is below 11.
    """
    import torch  # here, because recording needs the rest of this module and no torch

    from terrarium.kernels import ssim as operator

    x, y = (torch.tensor(frames.reshape(-1, *frames.shape[-3:])).movedim(-1, 1).double() for frames in (a, b))
    return operator(x, y, data_range=255.0).numpy().reshape(a.shape[:-3])


def edge_energy(frames: np.ndarray) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels, uint8 [..., H, W, 3] -> float [...]. Blur lowers it."""
    x = frames.astype(np.float32)
    across = np.abs(np.diff(x, axis=-2)).mean(axis=(-3, -2, -1))
    down = np.abs(np.diff(x, axis=-3)).mean(axis=(-3, -2, -1))
    return across + down


def save_sheet(path: Path, own: np.ndarray, real: np.ndarray, across: int = 4) -> None:
    """Writes a PNG of B walks, uint8 [B, T, H, W, 3], `across` beside each other: each of `own` above its `real`."""
    walks = [np.concatenate([np.concatenate(list(x), axis=1) for x in pair]) for pair in zip(own, real, strict=True)]
    gap = 4
    cells = [np.pad(w, ((0, gap), (0, gap), (0, 0)), constant_values=24) for w in walks]
    cells += [np.full_like(cells[0], 24)] * (-len(cells) % across)
    rows = [np.concatenate(cells[i : i + across], axis=1) for i in range(0, len(cells), across)]
    Image.fromarray(np.concatenate(rows)).save(path)


def strip(rows: Sequence[np.ndarray], scale: int = 2) -> Image.Image:
    """One row a sequence: each uint8 [T, H, W, 3], enlarged by whole pixels, 2 px apart."""
    gap = 2
    cells = [np.pad(r, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=24) for r in map(np.asarray, rows)]
    sheet = np.concatenate([np.concatenate(list(r), axis=1) for r in cells], axis=0)
    image = Image.fromarray(sheet)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def save_strip(path: Path, rows: Sequence[np.ndarray], scale: int = 2) -> None:
    """Writes a `strip` as a PNG."""
    strip(rows, scale).save(path)
