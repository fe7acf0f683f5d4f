"""How many threads a model's step gets: one, and more only where ticks would be late and more are really faster.

Threads wait for each other at every operation. Two hardware threads of a busy machine are often one core, and
beside a training each wait can last a time slice. Measured with the shipped model on two such threads
(Xeon 2.8 GHz, torch 2.13), milliseconds a step, 1 and 8 players, alone | beside a training:
    one thread 14, 60 | 14, 70        two threads 13, 46 | 50 to 100, 130 to 220
"""

from __future__ import annotations

import logging
import os
import statistics
from collections.abc import Callable

log = logging.getLogger("terrarium.player")
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
