"""A picture of any size in squares that overlap and fade into each other by linear ramps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

OVERLAP = 32  # pixels


def in_tiles(find: Callable[[int, int], Tensor], full: int, side: int) -> Tensor:
    """[C, full, full] of what `find(top, left)` says of each square, [C, side, side]."""
    total, weight = None, torch.zeros(full, full)
    ramp = ramp_of(side, full)
    for top in starts(full, side):
        for left in starts(full, side):
            found = find(top, left)
            total = torch.zeros(len(found), full, full) if total is None else total
            total[:, top : top + side, left : left + side] += found * ramp
            weight[top : top + side, left : left + side] += ramp
    assert total is not None
    return total / weight


def starts(full: int, side: int) -> list[int]:
    """Of tiles that cover `full` pixels, OVERLAP or more in common."""
    if full <= side:
        return [0]
    count = -(-(full - OVERLAP) // (side - OVERLAP))
    return [round(i * (full - side) / (count - 1)) for i in range(count)]


def ramp_of(side: int, full: int) -> Tensor:
    """Weights [side, side] of a tile's pixels, falling to its edges; even where one tile is all."""
    if full <= side:
        return torch.ones(side, side)
    at = torch.arange(side) + 0.5
    edge = (torch.minimum(at, side - at) / OVERLAP).clamp(max=1)
    return edge[:, None] * edge
