"""Frames to look at: GIF, video, contact sheet, and what a notebook shows. Enlarged by whole pixels."""

from __future__ import annotations

import base64
import io
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from PIL import Image

from terrarium.worlds.durable import new_file
from terrarium.worlds.pictures.metrics import strip
from terrarium.worlds.pictures.video import mp4

SHOWN = 256  # pixels, about: height of what is saved or shown without a scale
GAP = 2  # pixels between pictures that are side by side, before they are enlarged


class Filmed(ABC):
    """What has frames."""

    fps: float

    @property
    @abstractmethod
    def frames(self) -> np.ndarray:
        """uint8 [T, H, W, 3], or [B, T, H, W, 3] of several worlds."""

    def film(self, *others: Filmed) -> Film:
        """All frames; those of other worlds beside them. ValueError where heights or numbers of frames differ."""
        rows = [row for one in (self, *others) for row in _rows(one.frames)]
        shapes = [(len(row), row.shape[1]) for row in rows]
        if len(set(shapes)) > 1:
            raise ValueError(f"(frames, height) {', '.join(map(str, shapes))}: expected the same of all")
        return Film(_side_by_side(rows), self.fps)

    def save_gif(self, path: str | Path, scale: int | None = None) -> Path:
        """An animated GIF; several worlds are side by side. `scale`: pixels for each of a frame's, by default as many
        as make it about 256 high."""
        with new_file(Path(path)) as file:
            file.write(self.film().gif(scale))
        return Path(path)

    def save_video(self, path: str | Path, scale: int | None = None) -> Path:
        """An .mp4 (H.264); several worlds are side by side. ValueError for another suffix."""
        if Path(path).suffix.lower() != ".mp4":
            raise ValueError(f"{path}: expected a file that ends in .mp4")
        with new_file(Path(path)) as file:
            file.write(self.film().mp4(scale))
        return Path(path)

    def sheet(self, *others: Filmed, count: int = 8, scale: int | None = None) -> Image.Image:
        """A contact sheet: `count` frames from first to last, a row a world; those of others below."""
        if count < 1:
            raise ValueError(f"count {count}: expected at least 1")
        rows = [row for one in (self, *others) for row in _rows(one.frames)]
        chosen = [row[np.linspace(0, len(row) - 1, min(count, len(row))).round().astype(int)] for row in rows]
        shapes = {row.shape[:3] for row in chosen}
        if len(shapes) > 1:
            raise ValueError(f"worlds of (frames, H, W) {sorted(shapes)} on one sheet: expected the same of all")
        return strip(chosen, _scale(scale, 2 * chosen[0].shape[1]))


class Film(Filmed):
    """Frames uint8 [T, H, W, 3] at `fps` a second; a notebook plays them. ValueError for anything else."""

    def __init__(self, frames: np.ndarray, fps: float = 20.0) -> None:
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
            raise ValueError(f"frames are {frames.dtype} {frames.shape}, expected uint8 (T, H, W, 3) with T > 0")
        if not fps > 0:
            raise ValueError(f"fps {fps}: expected more than 0")
        self._frames, self.fps = frames, fps

    @property
    def frames(self) -> np.ndarray:
        return self._frames

    def gif(self, scale: int | None = None) -> bytes:
        """GIF counts in hundredths of a second: 30 fps become 33."""
        first, *rest = (Image.fromarray(frame) for frame in self._enlarged(scale))
        ms = max(20, 10 * round(100 / self.fps))  # browsers slow down what is faster
        file = io.BytesIO()
        first.save(file, "GIF", save_all=True, append_images=rest, duration=ms, loop=0)
        return file.getvalue()

    def mp4(self, scale: int | None = None) -> bytes:
        return mp4(self._enlarged(scale), self.fps)

    def _enlarged(self, scale: int | None) -> np.ndarray:
        return _enlarge(self.frames, _scale(scale, self.frames.shape[1]))

    def _repr_html_(self) -> str:
        """Small, and enlarged by the browser."""
        gif = base64.b64encode(self.gif(1)).decode()
        width = self.frames.shape[2] * _scale(None, self.frames.shape[1])
        style = 'style="image-rendering: pixelated"'
        return f'<img alt="{self!r}" width="{width}" {style} src="data:image/gif;base64,{gif}">'

    def __repr__(self) -> str:
        frames, height, width, _ = self.frames.shape
        return f"Film of {frames} frames, {width}x{height} at {self.fps:g} fps"


def png(frames: np.ndarray, scale: int | None = None) -> bytes:
    """One picture of a frame uint8 [H, W, 3], or of several [B, H, W, 3] side by side."""
    rows = [frame[None] for frame in frames] if frames.ndim == 4 else [frames[None]]
    file = io.BytesIO()
    Image.fromarray(_enlarge(_side_by_side(rows), _scale(scale, frames.shape[-3]))[0]).save(file, "PNG")
    return file.getvalue()


def _rows(frames: np.ndarray) -> list[np.ndarray]:
    """[T, H, W, 3] of each world."""
    return list(frames) if frames.ndim == 5 else [frames]


def _side_by_side(rows: list[np.ndarray]) -> np.ndarray:
    """B of [T, H, W, 3] -> [T, H, sum of W and gaps, 3]."""
    gap = np.full_like(rows[0][:, :, :1], 24).repeat(GAP, axis=2)
    joined = [part for row in rows for part in (gap, row)][1:]
    return np.concatenate(joined, axis=2)


def _enlarge(frames: np.ndarray, scale: int) -> np.ndarray:
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)


def _scale(scale: int | None, height: int) -> int:
    if scale is not None and scale < 1:
        raise ValueError(f"scale {scale}: expected at least 1")
    return scale or max(1, round(SHOWN / height))
