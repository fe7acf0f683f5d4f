"""How a player uses its processor: above all, how many threads a model's step gets.

One, and more only where ticks would be late and more are really faster.

Threads wait for each other at every operation. Two hardware threads of a busy machine are often one core, and
beside a training each wait can last a time slice. Measured with the shipped model on two such threads
(Xeon 2.8 GHz, torch 2.13), milliseconds a step, 1 and 8 players, alone | beside a training:
    one thread 14, 60 | 14, 70        two threads 13, 46 | 50 to 100, 130 to 220
"""

from __future__ import annotations

import ctypes
import logging
import os
import statistics
from collections.abc import Callable

log = logging.getLogger("terrarium.player")
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
KEPT_BYTES = 64 << 20
LARGEST_BYTES = 32 << 20  # as large as glibc allows
LATE = 0.7  # of a tick's period: a step that takes longer leaves too little for the rest
GAIN = 0.9  # more threads must take at most so much of one thread's time
SAMPLE = 8  # steps
FIRST_REST_S, LONGEST_REST_S = 10.0, 300.0  # between trials that failed


def spin_briefly() -> None:
    """Before torch is imported: threads spin about a millisecond for the next operation, then sleep.

    The default (15 ms) holds a core against everybody else; none at all doubles the time of a small step.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def keep_memory() -> None:
    """What a step has freed stays with the process for the next one, up to KEPT_BYTES of it.

    glibc gives large blocks back to the system and asks for them anew at every step; elsewhere nothing is changed. See
    mallopt(3).
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for option in (M_TRIM_THRESHOLD, M_TOP_PAD):
            mallopt(option, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES)


class Threads:
    """The count for one ticker's thread, which calls `after` with every step."""

    def __init__(self, most: int = 1, set_threads: Callable[[int], object] = lambda n: None) -> None:
        self.most, self.set_threads = most, set_threads
        self.now = 1
        self._rest_s = FIRST_REST_S
        self._rest_until = 0.0
        self._batch = self._smaller = 0
        self._one_s = 0.0  # median step of one thread
        self._times: list[float] = []  # newest steps at the count of now

    def after(self, step_s: float, batch: int, period_s: float, time_s: float) -> None:
        if self.most == 1 or not self._counts(batch):
            return
        self._times = [*self._times, step_s][-SAMPLE:]
        if self.now == 1:
            self._one_s = statistics.median(self._times)
            enough = len(self._times) == SAMPLE and time_s >= self._rest_until
            if enough and self._one_s > LATE * period_s:
                self._use(self.most)
        elif self._worse():
            self._use(1)
            self._rest_until = time_s + self._rest_s
            self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)

    def _counts(self, batch: int) -> bool:
        """Compare full batches only: with sessions of several paces some ticks are smaller."""
        if batch == self._batch:
            self._smaller = 0
            return True
        self._smaller += 1
        if batch > self._batch or self._smaller > 5 * SAMPLE:
            self._restart(batch)
        return False

    def _restart(self, batch: int) -> None:
        self._batch, self._smaller = batch, 0
        self._use(1)

    def _worse(self) -> bool:
        """Two slow steps are enough; the first one starts the threads."""
        slow = sum(s > 1.5 * self._one_s for s in self._times[1:])
        full = len(self._times) == SAMPLE
        return slow >= 2 or (full and statistics.median(self._times) > GAIN * self._one_s)

    def _use(self, threads: int) -> None:
        self._times = []
        if threads != self.now:
            log.info("%d threads for %d players", threads, self._batch)
            self.now = threads
            self.set_threads(threads)
