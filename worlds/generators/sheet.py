"""What a generator draws, to be looked at:

    python -m terrarium.worlds.generators.sheet CHECKPOINT PICTURE

A column is a class: the structure for whose caption, of a held-out combination, the worlds below it were drawn, with
the seeds 0, 1 and 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from terrarium.worlds.blocks.structures.source import FIRST, structure
from terrarium.worlds.generators.model import Generator, load_generator
from terrarium.worlds.generators.samplers import Plan, sample
from terrarium.worlds.pictures.metrics import save_strip
from terrarium.worlds.voxels.export import turntable
from terrarium.worlds.voxels.render import of_blocks

STRUCTURE = 7  # seed of the structures
SIDE = 96  # pixels


def sheet(generator: Generator, names: Sequence[str], rows: int) -> list[np.ndarray]:
    """The structures of these classes, and `rows` times a world for each of their captions."""
    made = [structure(STRUCTURE, generator.size, name=name, split="held_out") for name in names]
    captions = [each.caption for each in made]
    plans = [Plan(seeds=(seed,) * len(made)) for seed in range(rows)]
    drawn = [sample(generator, captions, plan) for plan in plans]
    return [pictures([each.blocks for each in made]), *map(pictures, drawn)]


def pictures(worlds: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [N, SIDE, SIDE, 3]."""
    return np.concatenate([turntable(*of_blocks(blocks), 1, SIDE) for blocks in worlds])


if __name__ == "__main__":
    save_strip(Path(sys.argv[2]), sheet(load_generator(Path(sys.argv[1]))[0], FIRST, 3), scale=1)
