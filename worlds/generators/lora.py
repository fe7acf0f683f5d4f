"""Low-rank adapters (Hu et al. 2021, arXiv:2106.09685): what an aligned generator adds to its base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from terrarium.worlds.generators.diffusers_base import DiffusersBase
from terrarium.worlds.generators.model import Generator

Base = Generator | DiffusersBase


class Adapted(nn.Module):
    """A linear layer that stays as it is, and beside it an update of rank `rank` that begins as zero."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base, self.on = base, True
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        nn.init.normal_(self.down.weight, std=base.in_features**-0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        return y + self.up(self.down(x)) if self.on else y


def adapt(generator: Base, rank: int) -> None:
    """Freezes the generator and puts an adapter beside each of its `layers`.

    ValueError for a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"rank {rank}: expected at least 1")
    generator.requires_grad_(False)
    for module, name in list(generator.layers()):
        setattr(module, name, Adapted(getattr(module, name), rank))


def adapters(generator: Base) -> list[Adapted]:
    return [module for module in generator.modules() if isinstance(module, Adapted)]


def weights(generator: Base) -> list[Tensor]:
    """Of the adapters: what is learned."""
    return [layer.weight for each in adapters(generator) for layer in (each.down, each.up)]


def is_adapters(name: str) -> bool:
    """Whether a tensor of the generator's state is an adapter's."""
    return name.endswith((".down.weight", ".up.weight"))


@contextmanager
def base_of(generator: Base) -> Iterator[None]:
    """Within, the generator is its base, bit for bit."""
    for each in adapters(generator):
        each.on = False
    try:
        yield
    finally:
        for each in adapters(generator):
            each.on = True


@torch.no_grad()
def merge(generator: Generator) -> None:
    """Adds every adapter to its layer, which takes its place: a generator like any other, up to rounding."""
    for module in list(generator.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Adapted):
                child.base.weight += child.up.weight @ child.down.weight
                setattr(module, name, child.base)
