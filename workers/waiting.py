"""The places of a player, and the line before them.

A free place goes to whoever came first among those whose API key has the fewest, so that one key with ten visitors does
not keep another's first one waiting. Everything here runs on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

MOST_WAITING = 200


class LineFull(Exception):
    """As many wait as may."""


@dataclass(eq=False)
class Visitor:
    key: str  # of the API key that opened the session; empty where none is needed
    position: int = -1  # in line, 1 for the next; 0 once there is a place
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Places:
    def __init__(self, count: int) -> None:
        self.count = count
        self.seated: list[Visitor] = []
        self.line: list[Visitor] = []  # in the order of their coming

    def arrive(self, key: str) -> Visitor:
        """Takes a place, or one in line. LineFull where there is neither."""
        if len(self.seated) >= self.count and len(self.line) >= MOST_WAITING:
            raise LineFull
        visitor = Visitor(key)
        self.line.append(visitor)
        self._move_up()
        return visitor

    def leave(self, visitor: Visitor) -> None:
        (self.seated if visitor in self.seated else self.line).remove(visitor)
        self._move_up()

    def _move_up(self) -> None:
        order = self._order()
        free = max(0, self.count - len(self.seated))
        self.seated += order[:free]
        self.line = [visitor for visitor in self.line if visitor not in order[:free]]
        for position, visitor in enumerate(order, 1 - free):
            position = max(0, position)
            if visitor.position != position:
                visitor.position = position
                visitor.moved.set()

    def _order(self) -> list[Visitor]:
        """Of the line: who gets the next place, who the one after, ..."""
        has = Counter(visitor.key for visitor in self.seated)
        waiting, order = list(self.line), list[Visitor]()
        while waiting:
            first = min(waiting, key=lambda visitor: has[visitor.key])  # of equals the first to have come
            waiting.remove(first)
            has[first.key] += 1
            order.append(first)
        return order
