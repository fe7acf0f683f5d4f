"""Patterns that repeat over a square tile and are the same at every resolution, up to the detail that it can show."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

FINEST = 192  # waves along a tile: what is finer is left out at 512 pixels and above


class Cells(NamedTuple):
    """Of a Voronoi diagram: distance to the nearest and the second nearest seed in widths of a cell, and a number in
    [0, 1) for each cell, [N, N] each."""

    nearest: np.ndarray
    second: np.ndarray
    value: np.ndarray


class Tile:
    """Coordinates `u` (to the right) and `v` (down) in [0, 1) of a tile of `size` pixels, [size, size] each, and
    patterns on it. Each pattern draws from a source of its own, so what is drawn does not depend on the size."""

    def __init__(self, size: int, seed: int) -> None:
        at = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.size, self.seed, self.drawn = size, seed, 0
        self.u, self.v = np.meshgrid(at, at)

    def rng(self) -> np.random.Generator:
        self.drawn += 1
        return np.random.default_rng([self.seed, self.drawn])

    def noise(self, low: float, falling: float = 1.5, stretch: float = 1.0, high: float = FINEST) -> np.ndarray:
        """A Gaussian random field of mean 0 and deviation 1: amplitudes fall as frequency^-falling above `low` waves a
        tile, up to `high`. `stretch` above 1 draws it out along u."""
        rng = self.rng()
        finest = min(FINEST, self.size // 2 - 1)
        rows, columns = _shells(finest)
        frequency = np.hypot(columns * stretch, rows / stretch) / low
        amplitude = np.where(frequency < high / low, np.maximum(frequency, 1e-6) ** -falling, 0)
        amplitude *= 1 - np.exp(-(frequency**4))
        drawn = rng.standard_normal((len(rows), 2)).astype(np.float32) @ np.array([1, 1j], dtype=np.complex64)
        spectrum = np.zeros((self.size, self.size), np.complex64)
        spectrum[rows, columns] = amplitude * drawn
        field = np.fft.ifft2(spectrum).real
        return ((field - field.mean()) / max(field.std(), 1e-12)).astype(np.float32)

    def warped(self, field: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        """`field` read (du, dv) tiles away, bilinear."""
        x, y = (self.u + du) * self.size - 0.5, (self.v + dv) * self.size - 0.5
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        fx, fy = x - left, y - top
        n = self.size

        def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
            return field[row % n, column % n]

        upper = at(top, left) * (1 - fx) + at(top, left + 1) * fx
        lower = at(top + 1, left) * (1 - fx) + at(top + 1, left + 1) * fx
        return (upper * (1 - fy) + lower * fy).astype(np.float32)

    def cells(self, count: int, jitter: float = 0.9, du: np.ndarray | float = 0, dv: np.ndarray | float = 0) -> Cells:
        """`count` x `count` cells around jittered seeds; (du, dv) in tiles bends their borders."""
        rng = self.rng()
        seeds = 0.5 + jitter * (rng.random((count, count, 2), dtype=np.float32) - 0.5)
        values = rng.random((count, count), dtype=np.float32)
        x, y = (self.u + du) * count, (self.v + dv) * count
        column, row = np.floor(x).astype(int), np.floor(y).astype(int)
        nearest = np.full(x.shape, 9.0, np.float32)
        second, value = nearest.copy(), np.zeros_like(nearest)
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                r, c = (row + i) % count, (column + j) % count
                seed = seeds[r, c]
                far = np.hypot(column + j + seed[..., 0] - x, row + i + seed[..., 1] - y)
                closer = far < nearest
                second = np.where(closer, nearest, np.minimum(second, far))
                value = np.where(closer, values[r, c], value)
                nearest = np.where(closer, far, nearest)
        return Cells(nearest, second, value)

    def bricks(self, across: int, down: int, gap: float, offset: float = 0.5, ragged: float = 0.0) -> Cells:
        """Rectangles in rows, every other moved by `offset`: distance to the edge in widths of a row within
        `nearest` (0 in the gap, `gap` wide), position along the brick in `second`, a number for each in `value`."""
        rng = self.rng()
        values = rng.random((down, across), dtype=np.float32)
        u, v = self.u, self.v
        if ragged:
            u, v = u + ragged * self.noise(6, 2.0) / across, v + ragged * self.noise(6, 2.0) / down
        y = v * down
        row = np.floor(y).astype(int)
        x = u * across + offset * (row % 2)
        column = np.floor(x).astype(int)
        x, y = x - column, y - row
        wide = down / across  # of a brick in heights of a row
        edge = np.minimum(np.minimum(x, 1 - x) * wide, np.minimum(y, 1 - y)) - gap / 2
        return Cells(np.maximum(edge, 0).astype(np.float32), x, values[row % down, column % across])


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def stretched(x: np.ndarray) -> np.ndarray:
    """To [0, 1]."""
    low, high = float(x.min()), float(x.max())
    return (x - low) / max(high - low, 1e-6)


def blurred(x: np.ndarray, radius: float) -> np.ndarray:
    """A Gaussian of `radius` tiles, around the borders."""
    n = x.shape[0]
    frequency = np.fft.fftfreq(n, 1 / n)
    gain = np.exp(-2 * (np.pi * radius * frequency) ** 2)
    return np.fft.ifft2(np.fft.fft2(x) * gain[:, None] * gain[None]).real.astype(np.float32)


@lru_cache(8)
def _shells(finest: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (row, column) up to `finest`, square shell by square shell: a coarser picture uses the first ones."""
    axis = np.arange(-finest, finest + 1)
    rows, columns = (x.ravel() for x in np.meshgrid(axis, axis, indexing="ij"))
    order = np.lexsort((columns, rows, np.maximum(abs(rows), abs(columns))))[1:]
    return rows[order], columns[order]
