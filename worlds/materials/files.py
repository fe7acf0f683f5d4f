"""Pictures of maps on disk, which anyone may have written: bounded by their headers before they are decoded, and
refused with the name of the file and what was expected of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

LONGEST = 8192  # pixels along a side
LEAST = 16
BLACK = 2 / 255  # brighter than this somewhere
GREY_MODES = {"L": 255.0, "I;16": 65535.0, "I;16B": 65535.0, "I": 65535.0}  # Pillow's, with their full scale
COLOUR_MODES = ("RGB", "RGBA", "P", "LA")


def read_colour(file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """float32 [3, H, W] in [0, 1], as stored. ValueError for what is no such picture, or not of `size` (W, H)."""
    with _opened(file, size) as image:
        if image.mode not in (*COLOUR_MODES, *GREY_MODES):
            raise ValueError(f"{file}: pixels of mode {image.mode}, expected 8 bits of red, green and blue")
        if image.mode in GREY_MODES:
            return np.repeat(_grey(image)[None], 3, axis=0)
        return np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1) / 255


def read_grey(file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """float32 [H, W] in [0, 1], of 8 or 16 bits. A coloured picture is taken where its channels agree."""
    with _opened(file, size) as image:
        if image.mode in GREY_MODES:
            return _grey(image)
        if image.mode not in COLOUR_MODES:
            raise ValueError(f"{file}: pixels of mode {image.mode}, expected 8 or 16 bits of grey")
        rgb = np.asarray(image.convert("RGB"), np.float32) / 255
        if np.ptp(rgb, axis=-1).max() > 3 / 255:
            raise ValueError(f"{file} is coloured, expected one value a pixel: is it another map?")
        return rgb[..., 0]


def read_normal(file: Path, size: tuple[int, int] | None = None, *, directx: bool = False) -> np.ndarray:
    """Unit normals float32 [3, H, W], y up the picture; `directx` where the file's green points down."""
    raw = 2 * read_colour(file, size) - 1
    length = np.linalg.norm(raw, axis=0)
    facing = float((raw[2] > 0).mean())
    if facing < 0.9 or abs(float(np.median(length)) - 1) > 0.25:
        raise ValueError(
            f"{file} is no normal map: {facing:.0%} of its vectors point out of the surface and their median length is "
            f"{float(np.median(length)):.2f}, expected 90 % or more and about 1"
        )
    normal = raw / np.maximum(length, 1e-6)
    return normal * np.array([1, -1 if directx else 1, 1], np.float32)[:, None, None]


def read_view(file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """A photograph, as `read_colour`; all black is refused."""
    view = read_colour(file, size)
    if view.max() <= BLACK:
        raise ValueError(f"{file} is all black, expected a picture of a surface")
    return view


def size_of(file: Path) -> tuple[int, int]:
    """(W, H) from the header alone. ValueError as of the other functions."""
    with _opened(file, None, decode=False) as image:
        return image.size


def write_picture(file: Path, pixels: np.ndarray) -> None:
    """PNG of float [3, H, W] or [H, W] in [0, 1], 8 bits a channel."""
    values = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    Image.fromarray(values if values.ndim == 2 else values.transpose(1, 2, 0)).save(file)


def _opened(file: Path, size: tuple[int, int] | None, *, decode: bool = True) -> Image.Image:
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bounds below are tighter
            image = Image.open(file)
    except Image.DecompressionBombError:
        expected = f"expected {LEAST} to {LONGEST} along each side"
        raise ValueError(f"{file} has over {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, {expected}") from None
    except OSError as e:
        raise ValueError(f"{file} is no picture: {e}") from None
    try:
        width, height = image.size
        if max(width, height) > LONGEST or min(width, height) < LEAST:
            raise ValueError(f"{file} has {width} x {height} pixels, expected {LEAST} to {LONGEST} along each side")
        if size is not None and image.size != size:
            raise ValueError(f"{file} has {width} x {height} pixels, expected {size[0]} x {size[1]} as the others have")
        if decode:
            image.load()
    except (OSError, SyntaxError) as e:  # Pillow raises the second for a broken PNG
        image.close()
        raise ValueError(f"{file} is damaged or cut short: {e}") from None
    except ValueError:
        image.close()
        raise
    return image


def _grey(image: Image.Image) -> np.ndarray:
    values = np.asarray(image, np.float32) / GREY_MODES[image.mode]
    if image.mode == "I" and values.max() > 1:
        raise ValueError(f"{getattr(image, 'filename', 'the picture')} holds more than 16 bits, expected 8 or 16")
    return values
