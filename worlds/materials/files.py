"""Pictures of maps on disk as arrays: read after worlds/materials/checks.py has looked at them, and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from terrarium.worlds.materials.checks import GREY_MODES, check_colour, check_grey, check_normal, open_views, opened


def read_colour(file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """float32 [3, H, W] in [0, 1], as stored. ValueError for what is no such picture, or not of `size` (W, H)."""
    with opened(file, size) as image:
        check_colour(image, file)
        return _colour(image)


def read_grey(file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """float32 [H, W] in [0, 1], of 8 or 16 bits. A coloured picture is taken where its channels agree."""
    with opened(file, size) as image:
        check_grey(image, file)
        return _grey(image) if image.mode in GREY_MODES else _colour(image)[0]


def read_normal(file: Path, size: tuple[int, int] | None = None, *, directx: bool = False) -> np.ndarray:
    """Unit normals float32 [3, H, W], y up the picture; `directx` where the file's green points down."""
    with opened(file, size) as image:
        check_normal(image, file)
        raw = 2 * _colour(image) - 1
    normal = raw / np.maximum(np.linalg.norm(raw, axis=0), 1e-6)
    return normal * np.array([1, -1 if directx else 1, 1], np.float32)[:, None, None]


def read_views(files: Sequence[Path]) -> np.ndarray:
    """Photographs float32 [N, 3, H, W]. ValueError unless they are different squares of one size, none all black."""
    return np.stack([_colour(image) for image in open_views(files)])


def write_picture(file: Path, pixels: np.ndarray) -> None:
    """PNG of float [C, H, W], of 3 or 4 channels, or of [H, W], in [0, 1], 8 bits a channel."""
    values = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    Image.fromarray(values if values.ndim == 2 else values.transpose(1, 2, 0)).save(file)


def _colour(image: Image.Image) -> np.ndarray:
    if image.mode in GREY_MODES:
        return np.repeat(_grey(image)[None], 3, axis=0)
    return np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1) / 255


def _grey(image: Image.Image) -> np.ndarray:
    values = np.asarray(image, np.float32) / GREY_MODES[image.mode]
    if image.mode == "I" and values.max() > 1:
        raise ValueError(f"{getattr(image, 'filename', 'the picture')} holds more than 16 bits, expected 8 or 16")
    return values
