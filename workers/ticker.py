"""One model's thread: every session that plays it advances in one batch a tick.

A tick takes the newest action of every due seat, steps the model once, encodes and hands out the frames, then
lets the simulators follow. The ticker runs at the pace of its fastest session and each seat steps when it is
due. A late tick is not made up for: two ticks at once would be two frames for one input.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import simplejpeg

from terrarium.store.play_protocol import RESET, SIMULATOR, Frame
from terrarium.workers.play_log import PlayLog
from terrarium.workers.sessions import Seat
from terrarium.workers.threads import Threads
from terrarium.worlds.played_model import PlayedModel

log = logging.getLogger("terrarium.player")
SMOOTHING = 0.1  # weight of the newest interval in the measured fps


class Ticker:
    """The thread of `model`. `on_failed(seats, reason)` is called, in this thread, for seats that it lost."""

    def __init__(
        self,
        checkpoint: str,
        model: PlayedModel,
        on_failed: Callable[[Ticker, list[Seat], str], None],
        threads: Threads | None = None,
    ) -> None:
        self.checkpoint, self.model, self.on_failed = checkpoint, model, on_failed
        self.threads = threads or Threads()
        self.seats: list[Seat] = []
        self.closed = False
        self.users, self.idle_since = 0, 0.0  # kept by workers/models.py: sessions here or about to be
        self.freezing = False  # likewise: its compiled step was asked for
        self._changed = threading.Condition()
        self._next_tick = 0.0
        self._thread = threading.Thread(target=self._run, name=f"ticker-{checkpoint[:8]}", daemon=True)
        self._thread.start()

    # From the event loop.

    def join(self, seat: Seat) -> bool:
        """Seat it at the next tick; False when the model has failed."""
        with self._changed:
            if not self.closed:
                self.seats.append(seat)
            self._changed.notify()
            return not self.closed

    def leave(self, seat: Seat) -> None:
        with self._changed:
            if seat in self.seats:
                self.seats.remove(seat)

    def wake(self) -> None:
        """A session's settings changed."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify()

    def wait_closed(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    # In the thread.

    def _run(self) -> None:
        while due := self._wait():
            try:
                self._tick(due)
            except Exception as e:
                log.exception("model %s failed", self.checkpoint)
                self.close()
                self.on_failed(self, list(self.seats), f"{type(e).__name__}: {e}")

    def _wait(self) -> list[Seat]:
        """Sleep until a tick is due; its seats. Empty when closed."""
        with self._changed:
            while not self.closed:
                now = time.monotonic()
                active = [seat for seat in self.seats if not seat.session.paused or seat.wants_still]
                if not active:
                    self._changed.wait()
                elif now < self._next_tick:
                    self._changed.wait(self._next_tick - now)
                else:
                    period = 1.0 / max(seat.fps for seat in active)
                    self._next_tick = _next(self._next_tick, period, now)
                    due = [seat for seat in active if seat.due <= now + period / 2 or seat.wants_still]
                    if due:
                        return due
            return []

    def _tick(self, due: list[Seat]) -> None:
        now = time.monotonic()
        stepping = []
        for seat in due:
            if seat.wants_still:
                self._show_still(seat, now, len(due))
            elif not seat.session.paused:
                stepping.append(seat)
        if stepping:
            self._step(stepping, now)

    def _show_still(self, seat: Seat, now: float, players: int) -> None:
        """Send where the seat stands, without a step: at its start, and when a paused one changes."""
        seat.session.still = False
        simulator = seat.world.render() if seat.shows_simulator and seat.world is not None else None
        self._send(seat, simulator, Timing(now, players))
        seat.due, seat.stepped_at = now + 1.0 / seat.fps, 0.0

    def _step(self, seats: list[Seat], now: float) -> None:
        taken = [seat.session.take(now, self.model.layout) for seat in seats]
        shown = [seat.shows_simulator for seat in seats]
        actions = np.stack([t.action for t in taken])
        temperature = np.array([seat.temperature for seat in seats], np.float32)
        guidance = np.array([seat.session.guidance for seat in seats], np.float32)
        pictures = self.model.step([seat.state for seat in seats], actions, temperature, guidance)
        done = time.monotonic()
        self.threads.after(done - now, len(seats), 1.0 / max(seat.fps for seat in seats), done)
        for seat, t, picture, show in zip(seats, taken, pictures, shown, strict=True):
            seat.picture = picture
            _keep_time(seat, now)
            simulator = seat.world.step(t.action) if show and seat.world is not None else None
            self._send(seat, simulator, Timing(done, len(seats), (done - now) * 1e3, t.queue_ms))
        # The others' simulators follow when every frame is on its way.
        for seat, t, show in zip(seats, taken, shown, strict=True):
            if seat.world is not None and not show:
                seat.world.advance(t.action)
            _record(seat, t.action)

    def _send(self, seat: Seat, simulator: np.ndarray | None, timing: Timing) -> None:
        flags = (0 if seat.shown else RESET) | (0 if simulator is None else SIMULATOR)
        model_jpeg = encode(seat.picture)
        sim_jpeg = b"" if simulator is None else encode(simulator)
        fps = 1.0 / seat.interval_s if seat.interval_s else 0.0
        encode_ms = (time.monotonic() - timing.encode_from) * 1e3
        head = (timing.model_ms, encode_ms, timing.queue_ms, fps)
        seat.session.send(seat, Frame(flags, timing.players, 0, 0, *head, 0.0, 0, model_jpeg, sim_jpeg))
        seat.shown = True


def _record(seat: Seat, action: np.ndarray) -> None:
    """The step that `action` made, where the session wants play recorded: the first one gives the first frame."""
    session = seat.session
    plays = session.plays
    if seat.log is None:
        if plays:
            walk = (seat.model, seat.checkpoint, seat.seed, seat.world, seat.picture)
            seat.log = PlayLog(plays, *walk, session.stop_recording, seat.source)
    elif plays:
        seat.log.add(action, seat.picture)
    else:
        seat.log.close()
        seat.log = None


class Timing(NamedTuple):
    encode_from: float
    players: int
    model_ms: float = 0.0
    queue_ms: float = 0.0


def encode(picture: np.ndarray) -> bytes:
    """uint8 RGB [H, W, 3] to JPEG. Full chroma: at 64 pixels a block's colour is one sample wide."""
    rgb = np.ascontiguousarray(picture)
    return simplejpeg.encode_jpeg(rgb, quality=85, colorspace="RGB", colorsubsampling="444")


def _keep_time(seat: Seat, now: float) -> None:
    seat.due = _next(seat.due, 1.0 / seat.fps, now)
    if seat.stepped_at:
        interval = now - seat.stepped_at
        seat.interval_s += (interval - seat.interval_s) * (SMOOTHING if seat.interval_s else 1.0)
    seat.stepped_at = now


def _next(due: float, period: float, now: float) -> float:
    """The time after `due`. Where that has passed too, the count starts again from now."""
    return due + period if due + period > now else now + period
