"""Picture metrics on uint8 frames, and the strips that reports show. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB over the last three axes; uint8 [..., H, W, 3] -> float [...]. At most 60."""
    mse = np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2, axis=(-3, -2, -1))
    return 10 * np.log10(255.0**2 / np.maximum(mse, 255.0**2 * 1e-6))


def edge_energy(frames: np.ndarray) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels, uint8 [..., H, W, 3] -> float [...]. Blur lowers it."""
    x = frames.astype(np.float32)
    across = np.abs(np.diff(x, axis=-2)).mean(axis=(-3, -2, -1))
    down = np.abs(np.diff(x, axis=-3)).mean(axis=(-3, -2, -1))
    return across + down


def save_strip(path: Path, rows: Sequence[np.ndarray], scale: int = 2) -> None:
    """Writes a PNG with one row a sequence: each uint8 [T, H, W, 3], enlarged by whole pixels, 2 px apart."""
    gap = 2
    cells = [np.pad(r, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=24) for r in map(np.asarray, rows)]
    sheet = np.concatenate([np.concatenate(list(r), axis=1) for r in cells], axis=0)
    image = Image.fromarray(sheet)
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(path)
