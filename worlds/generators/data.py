"""What a generator learns from: captioned structures without end, of the split `train`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.blocks.structures.captions import said_of
from terrarium.worlds.blocks.structures.source import FIRST, Structure, structure


def example(rng: np.random.Generator, size: int) -> tuple[np.ndarray, str]:
    """Blocks uint8 [size, size, size], and what is said of them: the caption, none, or some of its words."""
    made = structure(int(rng.integers(2**31)), size)
    return made.blocks, said_of(made, rng)


def held_out(seed: int, count: int, size: int) -> list[Structure]:
    """`count` structures of combinations that training never shows, of every class in turn."""
    return [structure(seed + i // len(FIRST), size, name=FIRST[i % len(FIRST)], split="held_out") for i in range(count)]


def as_ids(blocks: Sequence[np.ndarray]) -> Tensor:
    """uint8 [B, S, S, S]."""
    return torch.from_numpy(np.stack(blocks))
