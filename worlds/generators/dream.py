"""Worlds of any extent from a generator of small ones: what is known stays, the rest is dreamed window by window.

A window is a world of the generator's size; the next one is half as far on, so that it sees what the last has made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from terrarium.worlds.generators.model import Generator
from terrarium.worlds.generators.samplers import Kept, Plan, sample

Told = Callable[[int, int], None]  # windows done, of how many


def dream(
    generator: Generator, prompt: str, plan: Plan, blocks: np.ndarray, known: np.ndarray, told: Told = lambda *_: None
) -> np.ndarray:
    """`blocks` uint8 [X, S, Z] with all that is not `known` bool [X, S, Z] dreamed; X and Z are at least S.

    Window number i is drawn with the plan's seed plus i.
    """
    blocks, known = blocks.copy(), known.copy()
    windows = list(windows_of(blocks.shape, generator.size))
    for i, window in enumerate(windows):
        if not known[window].all():
            kept = Kept(blocks[window], known[window]) if known[window].any() else None
            (blocks[window],) = sample(generator, [prompt], replace(plan, seeds=(plan.seeds[0] + i,)), kept)
            known[window] = True
        told(i + 1, len(windows))
    return blocks


def windows_of(shape: tuple[int, ...], size: int) -> Iterator[tuple[slice, slice, slice]]:
    """From one corner on along z, then x; the last ones end with the world."""
    for x in starts(shape[0], size):
        for z in starts(shape[2], size):
            yield slice(x, x + size), slice(0, size), slice(z, z + size)


def starts(length: int, size: int) -> list[int]:
    return sorted({min(i, length - size) for i in range(0, length - size // 2, max(1, size // 2))})
