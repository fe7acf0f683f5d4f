"""Data loading off the critical path: the next items are made in a thread while the present one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


@contextmanager
def prefetch(make: Callable[[Key], Item], keys: Iterable[Key], ahead: int = 2) -> Iterator[Iterator[Item]]:
    """Iterates `make(key)` in the order of `keys`; one thread makes at most `ahead` items before they are asked for.

    What `make` raises is raised where its item is asked for. On leaving, the thread has ended.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        yield _in_order(pool, make, keys, ahead)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ThreadPoolExecutor, make: Callable[[Key], Item], keys: Iterable[Key], ahead: int) -> Iterator[Item]:
    waiting: deque[Future[Item]] = deque()
    for key in keys:
        waiting.append(pool.submit(make, key))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
