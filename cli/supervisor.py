"""Starts services as early as their needs allow, watches and restarts them, drains them in order.

A service that is ready is asked for a sign of life, by its own probe, `MISSES` times in `hung_after_s`. One that gives
none so often in a row hangs: it is killed and started again. Misses are counted, not seconds: after a sleep of the
machine everybody gets as many chances as before. Ten times as long may a service take to get ready.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from terrarium.store.embedded import Child, Postgres, tail
from terrarium.store.errors import Unavailable

BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY_S = 60.0  # a service that ran this long starts its backoff anew
GIVE_UP_AFTER = 3  # ends in a row before the first time that everything was ready
MISSES = 6
START_MISSES = 10 * MISSES


@dataclass
class Service:
    """A child, when it may start (`needs`: names of ready services, or `schema`), and how it ends."""

    child: Child
    needs: Collection[str] = ()
    probe: Callable[[], bool] | None = None  # ready when it and child.ready() say so; within some seconds
    lives: Callable[[], bool] | None = None  # asked from then on, in a thread, and again and again; None: the probe
    drain_s: float = 15.0  # from its stop signal to SIGKILL
    recovers: bool = False  # takes as long to get ready as it has to
    awaited: bool = True  # nothing is called ready before it is
    stop_turn: int = 0  # services of one turn are stopped together, turn 0 first
    ready: bool = field(default=False, init=False)
    ends: int = field(default=0, init=False)  # in a row
    start_at: float = field(default=0.0, init=False)
    started_at: float = field(default=0.0, init=False)
    ask_at: float = field(default=0.0, init=False)
    answer: Future[bool] | None = field(default=None, init=False)  # of the newest question
    misses: int = field(default=0, init=False)  # in a row

    @property
    def name(self) -> str:
        return self.child.name


class Supervisor:
    """Runs services until `stop` is called (a signal handler), then drains them; a second `stop` kills.

    Single-threaded: a child dies with the thread that started it, and `stop` only counts.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        prepare_schema: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
        on_start: Callable[[dict[str, int]], None] = lambda pids: None,
        hung_after_s: float = 60.0,
    ) -> None:
        self.services, self.prepare_schema = services, prepare_schema
        self.on_ready, self.on_start = on_ready, on_start
        self.has_schema = self.announced = False
        self.ask_every_s = hung_after_s / MISSES
        self.asking = ThreadPoolExecutor(2 * len(services), thread_name_prefix="probe")
        self.stops = 0
        self.begun_at = time.monotonic()

    def stop(self, *_: object) -> None:
        self.stops += 1

    def run(self) -> None:
        """Returns after a stop that was asked for; raises Unavailable if a service never gets ready."""
        try:
            while not self.stops:
                self.step()
                time.sleep(0.2 if self.announced else 0.02)
        finally:
            self.drain()
            self.asking.shutdown(wait=False, cancel_futures=True)

    def step(self) -> None:
        """One look at everything: start what may start, restart what ended, say what is ready."""
        done = {service.name for service in self.services if service.ready}
        if self.has_schema:
            done.add("schema")
        for service in self.services:
            service.child.cut_log()
            if service.child.pid is None:
                if done.issuperset(service.needs) and time.monotonic() >= service.start_at:
                    self._start(service)
            elif not service.child.alive():
                self._ended(service)
            elif not service.ready and service.child.ready() and (not service.probe or service.probe()):
                self._is_ready(service)
            elif time.monotonic() >= service.ask_at:
                self._ask(service)
        if not self.has_schema and all(s.ready for s in self.services if isinstance(s.child, Postgres)):
            self.prepare_schema()
            self.has_schema = True
        if not self.announced and self.has_schema and all(s.ready for s in self.services if s.awaited):
            self.announced = True
            self.on_ready()

    def _start(self, service: Service) -> None:
        service.child.start()
        service.started_at, service.misses, service.answer = time.monotonic(), 0, None
        self.on_start({s.name: s.child.pid for s in self.services if s.child.pid is not None})

    def _is_ready(self, service: Service) -> None:
        service.ready, service.misses, service.answer = True, 0, None
        if not self.announced:
            say(f"  {service.name:<10} ready {time.monotonic() - self.begun_at:5.1f} s")

    def _ask(self, service: Service) -> None:
        """Looks whether the last question was answered, asks the next one, kills what hangs.

        A service that is not ready is not asked, and misses all the same.
        """
        service.ask_at = time.monotonic() + self.ask_every_s
        answer, service.answer = service.answer, None
        answered = answer is not None and answer.done() and answer.exception() is None and answer.result()
        service.misses = 0 if answered or (service.recovers and not service.ready) else service.misses + 1
        limit = MISSES if service.ready else START_MISSES
        if service.misses > limit:
            what = f"answered none of {limit} probes" if service.ready else "did not get ready"
            say(f"  {service.name} {what} in {limit * self.ask_every_s:g} s: killed")
            service.child.kill()
        elif service.ready:
            service.answer = self.asking.submit(service.lives or service.probe or service.child.ready)

    def _ended(self, service: Service) -> None:
        """Plans the restart: later each time that it ends soon after its start."""
        child, code = service.child, service.child.poll()
        short_lived = time.monotonic() - service.started_at < HEALTHY_S
        service.ends = service.ends + 1 if short_lived else 1
        if not self.announced and service.ends >= GIVE_UP_AFTER:
            raise Unavailable(f"{child.name} ended with code {code}; {child.log} ends with:\n{tail(child.log, 8)}")
        pause_s = BACKOFF_S[min(service.ends, len(BACKOFF_S)) - 1]
        say(f"  {child.name} ended with code {code}; starting it again in {pause_s:g} s (log: {child.log})")
        service.ready, service.start_at = False, time.monotonic() + pause_s
        child.process = None

    def drain(self) -> None:
        """Stops turn by turn. What outlives its time is killed; after a second `stop`, everything."""
        if any(service.child.alive() for service in self.services):
            say("  stopping (Ctrl-C again: kill)")
        for turn in sorted({service.stop_turn for service in self.services}):
            leaving = [s for s in self.services if s.stop_turn == turn and s.child.alive()]
            for service in leaving:
                service.child.signal(service.child.stop_signal)
            asked_at = time.monotonic()
            while leaving := [s for s in leaving if s.child.alive()]:
                late_s = time.monotonic() - asked_at
                for service in leaving:
                    if self.stops > 1 or late_s > service.drain_s:
                        say(f"  {service.name} did not stop in {late_s:.0f} s: killed")
                        service.child.kill()
                time.sleep(0.02)


def say(line: str) -> None:
    """Prints. A reader who went away must not keep us from stopping what we started."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
