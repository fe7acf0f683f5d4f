"""Adapters as they were at some step: those of one before, or the best so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from terrarium.worlds.generators.lora import Base
from terrarium.worlds.training.lora import weights


class Snapshot(nn.Module):
    """Their weights; a part of a run's states."""

    def __init__(self, generator: Base) -> None:
        super().__init__()
        for i, p in enumerate(weights(generator)):
            self.register_buffer(str(i), p.detach().clone())

    def take(self, generator: Base) -> None:
        """Become the present ones."""
        for mine, p in zip(self.buffers(), weights(generator), strict=True):
            mine.copy_(p.detach())

    @torch.no_grad()
    def give(self, generator: Base) -> None:
        """The generator becomes what it was."""
        for mine, p in zip(self.buffers(), weights(generator), strict=True):
            p.copy_(mine)

    @contextmanager
    def of(self, generator: Base) -> Iterator[None]:
        """Within, the generator has these."""
        present = [p.data for p in weights(generator)]
        for mine, p in zip(self.buffers(), weights(generator), strict=True):
            p.data = mine
        try:
            yield
        finally:
            for data, p in zip(present, weights(generator), strict=True):
                p.data = data
