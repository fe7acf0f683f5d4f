"""Pictures of people we do not know: refused by their first bytes, before anything is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import EpsImagePlugin, Image

from terrarium.worlds.materials.checks import FORMATS, opened


def saved(form: str, size: tuple[int, int] = (32, 32)) -> bytes:
    Image.new("RGB", size, (9, 120, 200)).save(stream := io.BytesIO(), form)
    return stream.getvalue()


def png_that_says(width: int, height: int) -> bytes:
    """A header, and no pixels to speak of."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b""))
    packed = (struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("form", FORMATS)
def test_formats_that_are_taken(tmp_path: Path, form: str) -> None:
    (tmp_path / "0.png").write_bytes(saved(form))
    with opened(tmp_path / "0.png") as image:
        assert image.format == form and image.size == (32, 32)


@pytest.mark.parametrize("form", ["EPS", "TIFF", "GIF", "BMP", "PCX", "PDF"])
def test_other_formats_are_not_even_tried(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it had another program draw"))
    (tmp_path / "0.png").write_bytes(saved(form))
    with pytest.raises(ValueError, match=r"0\.png is no picture, expected PNG, JPEG, WEBP or DDS"):
        opened(tmp_path / "0.png")


@pytest.mark.parametrize(
    ("size", "said"), [((8193, 32), "8193 x 32"), ((60_000, 60_000), "over [0-9]+ pixels"), ((8, 32), "8 x 32")]
)
def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path, size: tuple[int, int], said: str) -> None:
    (tmp_path / "0.png").write_bytes(png_that_says(*size))
    with pytest.raises(ValueError, match=f"{said}.*expected 16 to 8192 along each side"):
        opened(tmp_path / "0.png")


def test_one_that_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(saved("PNG", (256, 256))[:-40])
    with pytest.raises(ValueError, match="damaged or cut short"):
        opened(tmp_path / "0.png")
