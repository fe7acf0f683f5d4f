"""What a family of procedural surfaces makes, and what they mix colours with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CLASSES = ("masonry", "stone", "wood", "metal", "rust", "paint", "fabric", "leather", "ground", "ceramic", "polymer")
Colour = tuple[float, float, float]  # sRGB


@dataclass(eq=False)
class Layers:
    """What a family makes: `height` [N, N] in any unit, `albedo` [N, N, 3] in sRGB, `roughness` and `metallic` [N, N]
    or one number, `relief` in widths of the tile from the lowest to the highest, a class for all or each pixel."""

    height: np.ndarray
    albedo: np.ndarray
    roughness: np.ndarray | float
    relief: float
    kind: str
    metallic: np.ndarray | float = 0.0
    others: list[tuple[np.ndarray, str]] = field(default_factory=list)  # (where, class)


def blend(a: np.ndarray | Colour, b: np.ndarray | Colour, share: np.ndarray) -> np.ndarray:
    """Colours, `share` [N, N] of the second."""
    return np.asarray(a, np.float32) * (1 - share[..., None]) + np.asarray(b, np.float32) * share[..., None]


def pick(rng: np.random.Generator, *colours: Colour, spread: float = 0.06) -> np.ndarray:
    """One of the colours, a little lighter or darker and of a little other hue."""
    chosen = np.array(colours[rng.integers(len(colours))])
    return np.clip(chosen * rng.uniform(1 - 2 * spread, 1 + 2 * spread) + rng.normal(0, spread / 5, 3), 0.02, 0.98)
