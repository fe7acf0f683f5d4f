"""Whether a picture on disk, which anyone may have written, can be a view of a surface or a map of a material.

Bounded by its header before it is decoded, and refused with the name of the file and what was expected of it. Without
torch and NumPy: the gateway checks too.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

FORMATS = ("PNG", "JPEG", "WEBP", "DDS")  # Pillow knows 40 more, some of which have another program draw (EPS)
LONGEST = 8192  # pixels along a side
LEAST = 16
BLACK = 2  # of 255; brighter than this somewhere
GREY_MODES = {"L": 255.0, "I;16": 65535.0, "I;16B": 65535.0, "I": 65535.0}  # Pillow's, with their full scale
COLOUR_MODES = ("RGB", "RGBA", "P", "LA")
SAMPLED = 64  # vectors along each side of a normal map that are looked at
VIEWS = 3


def opened(
    file: Path, size: tuple[int, int] | None = None, *, decode: bool = True, longest: int = LONGEST
) -> Image.Image:
    """The picture, which the caller closes. ValueError for what is none, is cut short, or is not of `size` (W, H)."""
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bounds below are tighter
            image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        expected = f"expected {LEAST} to {longest} along each side"
        raise ValueError(f"{file} has over {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, {expected}") from None
    except OSError:
        raise ValueError(f"{file} is no picture, expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from None
    try:
        width, height = image.size
        if max(width, height) > longest or min(width, height) < LEAST:
            raise ValueError(f"{file} has {width} x {height} pixels, expected {LEAST} to {longest} along each side")
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


def size_of(file: Path, *, longest: int = LONGEST) -> tuple[int, int]:
    """(W, H) from the header alone. ValueError as of `opened`."""
    with opened(file, decode=False, longest=longest) as image:
        return image.size


def check_colour(image: Image.Image, file: Path) -> None:
    if image.mode not in (*COLOUR_MODES, *GREY_MODES):
        raise ValueError(f"{file}: pixels of mode {image.mode}, expected 8 bits of red, green and blue")


def check_grey(image: Image.Image, file: Path) -> None:
    """A coloured picture passes where its channels agree."""
    if image.mode in GREY_MODES:
        return
    if image.mode not in COLOUR_MODES:
        raise ValueError(f"{file}: pixels of mode {image.mode}, expected 8 or 16 bits of grey")
    red, green, blue = image.convert("RGB").split()
    if any(brightest(ImageChops.difference(a, b)) > 3 for a, b in ((red, green), (green, blue), (red, blue))):
        raise ValueError(f"{file} is coloured, expected one value a pixel: is it another map?")


def check_normal(image: Image.Image, file: Path) -> None:
    """By a sample of its vectors: most point out of the surface, and their length is near 1."""
    check_colour(image, file)
    few = image.convert("RGB").resize((min(SAMPLED, image.width), min(SAMPLED, image.height)), Image.Resampling.NEAREST)
    raw = few.tobytes()
    vectors = [[2 * raw[i + k] / 255 - 1 for k in range(3)] for i in range(0, len(raw), 3)]
    facing = sum(z > 0 for _, _, z in vectors) / len(vectors)
    length = sorted(math.hypot(*vector) for vector in vectors)[len(vectors) // 2]
    if facing < 0.9 or abs(length - 1) > 0.25:
        raise ValueError(
            f"{file} is no normal map: {facing:.0%} of its vectors point out of the surface and their median length is "
            f"{length:.2f}, expected 90 % or more and about 1"
        )


def check_view(image: Image.Image, file: Path) -> None:
    check_colour(image, file)
    grey = image.mode in GREY_MODES
    share = brightest(image) / GREY_MODES[image.mode] if grey else brightest(image.convert("RGB")) / 255
    if share <= BLACK / 255:
        raise ValueError(f"{file} is all black, expected a picture of a surface")


def brightest(image: Image.Image) -> float:
    """The largest value of any channel, as stored."""
    found: Any = image.getextrema()  # a pair, or one for each channel
    return float(found[1] if len(image.getbands()) == 1 else max(most for _, most in found))


def open_views(files: Sequence[Path], *, longest: int = LONGEST) -> list[Image.Image]:
    """Different square views of one size, decoded. ValueError where they are not."""
    size = size_of(files[0], longest=longest)
    if size[0] != size[1]:
        raise ValueError(f"{files[0]} has {size[0]} x {size[1]} pixels, expected a square")
    found: list[Image.Image] = []
    seen: dict[bytes, Path] = {}
    for file in files:
        image = opened(file, size, longest=longest)
        check_view(image, file)
        pixels = image if image.mode in GREY_MODES else image.convert("RGB")
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest in seen:
            raise ValueError(f"{file} is the same picture as {seen[digest].name}, expected another view")
        seen[digest] = file
        found.append(pixels)
    return found


def check_poses(found: object, where: str) -> list[list[float]]:
    """Three poses from JSON. ValueError names what is wrong with them."""
    rows = found if isinstance(found, list) else []
    if len(rows) != VIEWS or not all(
        isinstance(row, list) and len(row) == 3 and all(map(_finite, row)) for row in rows
    ):
        raise ValueError(f"{where}: {str(found)[:80]}, expected three poses [polar_deg, azimuth_deg, distance]")
    if any(not 0 <= polar <= 60 or distance < 2 for polar, _, distance in rows):
        raise ValueError(f"{where}: {rows}, expected polar angles of 0 to 60 degrees and distances above 2")
    return [[float(x) for x in row] for row in rows]


def _finite(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
