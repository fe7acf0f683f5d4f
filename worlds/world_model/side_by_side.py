"""Calls side by side on threads of their own.

A step of many small operations shares each of them among threads and waits for the last one every time; two halves of
the players on a thread each wait once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class SideBySide:
    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._made = 0, 0

    def __call__(self, function: Callable[..., T], given: Sequence[tuple[Any, ...]]) -> list[T]:
        """The results, in order. On as many threads as torch has in the calling one; where there are fewer calls than
        threads, these are shared out."""
        threads = torch.get_num_threads()
        if threads == 1 or len(given) == 1:
            return [function(*each) for each in given]
        at_once = min(threads, len(given))
        if self._made != (at_once, threads // at_once):
            self._made = at_once, threads // at_once
            self._pool = ThreadPoolExecutor(
                at_once, "side-by-side", initializer=torch.set_num_threads, initargs=(threads // at_once,)
            )
        assert self._pool
        return list(self._pool.map(lambda each: function(*each), given))
