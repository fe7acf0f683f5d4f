"""Adapters of a generator: what an aligned one adds to its base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from terrarium.worlds.generators.diffusers_base import DiffusersBase
from terrarium.worlds.generators.model import Generator
from terrarium.worlds.training import lora

Base = Generator | DiffusersBase


def adapt(generator: Base, rank: int) -> None:
    """Freezes the generator and puts an adapter beside each of its `layers`.

    ValueError for a rank below 1.
    """
    lora.adapt(generator, generator.layers(), rank)


@contextmanager
def base_of(generator: Base) -> Iterator[None]:
    """Within, the generator is its base, bit for bit."""
    for each in lora.adapters(generator):
        each.on = False
    try:
        yield
    finally:
        for each in lora.adapters(generator):
            each.on = True
