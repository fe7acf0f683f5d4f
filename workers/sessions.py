"""A live session: the newest input, the settings in force, the frame to send, its seat in a batch.

Three threads meet here. The event loop writes inputs and settings and sends frames; a model's tick thread
takes actions and makes frames; a loader thread makes seats. `Session.lock` guards what two of them touch.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from terrarium.store.play_protocol import PAUSED, Frame, FrameSlot, Input, pack_frame
from terrarium.workers.play_log import PlayLog, Plays
from terrarium.worlds.blocks.actions import MAX_PITCH_DEG, MAX_YAW_DEG, Layout
from terrarium.worlds.played_model import PlayedModel, Simulator

CARRY_FRAMES = 2  # a flick of the mouse may go on turning for so many frames, no longer
SILENT_S = 1.0  # keys of a client that sends nothing for so long are released


class Taken(NamedTuple):
    """What one tick takes from a session's input."""

    action: np.ndarray  # float32, a column each of the layout's names
    queue_ms: float  # the newest input's wait; 0 when it has been taken before


class Controls:
    """Held keys, keys pressed since the last tick, and the turn not yet made."""

    def __init__(self) -> None:
        self.keys = self.pressed = self.seq = 0
        self.newest: list[int] = []  # bits in the order of their pressing
        self.answered = 0, 0.0  # seq and client_ms of the newest input that a tick has taken
        self.yaw_deg = self.pitch_deg = self.client_ms = 0.0
        self.arrived = 0.0
        self.fresh = False

    def put(self, i: Input, now: float) -> None:
        for bit in _bits(i.keys & ~self.keys):
            self.newest = [b for b in self.newest if b != bit] + [bit]
        self.keys = i.keys
        self.pressed |= self.keys
        self.yaw_deg += i.yaw_deg
        self.pitch_deg += i.pitch_deg
        self.seq, self.client_ms = i.seq, i.client_ms
        self.arrived, self.fresh = now, True

    def take(self, now: float, layout: Layout) -> Taken:
        """The action of one frame. A key released before the tick saw it still acts once."""
        mask = self.pressed | (self.keys if now - self.arrived < SILENT_S else 0)
        if not layout.has_camera:
            mask = self._one_of(mask & layout.all_keys)
        action = layout.from_mask(mask, self.yaw_deg, self.pitch_deg)
        self.yaw_deg = _rest(self.yaw_deg, MAX_YAW_DEG)
        self.pitch_deg = _rest(self.pitch_deg, MAX_PITCH_DEG)
        queue_ms = (now - self.arrived) * 1e3 if self.fresh else 0.0
        self.pressed, self.fresh = 0, False
        self.answered = self.seq, self.client_ms
        return Taken(action, queue_ms)

    def _one_of(self, mask: int) -> int:
        """Of discrete actions one can be taken: that of the key pressed last."""
        return next((1 << bit for bit in reversed(self.newest) if mask >> bit & 1), 0)

    def forget(self) -> None:
        """Drop presses and turns that no tick has used: what was done in a pause stays in the pause."""
        self.pressed, self.yaw_deg, self.pitch_deg = 0, 0.0, 0.0


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _rest(turn_deg: float, reach_deg: float) -> float:
    """What one frame of `turn_deg` leaves over, at most `CARRY_FRAMES` frames of it."""
    left = abs(turn_deg) - reach_deg
    return float(np.copysign(np.clip(left, 0.0, CARRY_FRAMES * reach_deg), turn_deg))


@dataclass(eq=False)
class Seat:
    """A session's place in a model's batch: one walk from one start. A reset and a swap are new seats."""

    session: Session
    model: PlayedModel
    checkpoint: str
    seed: int
    world: Simulator | None  # at the same instant as `state`; None where the model has none
    state: Any  # the model's, updated in place
    picture: np.ndarray  # the newest frame, uint8 [H, W, 3]
    source: dict[str, Any] | None = None  # of `world`, where it is not the model's own
    shown: bool = False  # a first frame was sent
    due: float = 0.0  # time of the next step
    stepped_at: float = 0.0
    interval_s: float = 0.0  # between steps, smoothed
    log: PlayLog | None = None  # while play is recorded

    @property
    def fps(self) -> float:
        """The pace: what the session asked for, else the model's own."""
        return self.session.pace or self.model.fps

    @property
    def shows_simulator(self) -> bool:
        return self.session.simulator and self.world is not None

    @property
    def wants_still(self) -> bool:
        return self.session.still or not self.shown

    @property
    def temperature(self) -> float:
        asked = self.session.temperature
        return self.model.temperature if asked is None else asked


@dataclass(eq=False)
class Session:
    id: str
    loop: asyncio.AbstractEventLoop
    controls: Controls = field(default_factory=Controls)
    lock: threading.Lock = field(default_factory=threading.Lock)
    slot: FrameSlot = field(default_factory=FrameSlot)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    seat: Seat | None = None
    frames: int = 0
    # Settings in force.
    temperature: float | None = None  # None: the model's own
    guidance: float = 1.0
    simulator: bool = False  # shown where the model has one
    paused: bool = False
    pace: float | None = None  # fps asked for; None: the model's own
    plays: Plays | None = None  # where play is recorded to; None: it is not
    still: bool = False  # show the newest picture once more without a step
    news: list[tuple[str, str]] = field(default_factory=list)  # code and message of errors that end nothing
    failed: asyncio.Future[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.failed = self.loop.create_future()

    def sit(self, seat: Seat) -> None:
        with self.lock:
            self.seat = seat
            self.controls.forget()

    def put(self, i: Input, now: float) -> None:
        with self.lock:
            self.controls.put(i, now)

    def take(self, now: float, layout: Layout) -> Taken:
        with self.lock:
            return self.controls.take(now, layout)

    def send(self, seat: Seat, frame: Frame) -> None:
        """From a tick thread: complete the header, hand it to the loop. A seat that was left is silent."""
        with self.lock:
            if self.seat is not seat:
                return
            self.frames += 1
            action_seq, client_ms = self.controls.answered
            flags = frame.flags | (PAUSED if self.paused else 0)
            frame = frame._replace(seq=self.frames, action_seq=action_seq, client_ms=client_ms, flags=flags)
            self.loop.call_soon_threadsafe(self._deliver, pack_frame(frame))

    def _deliver(self, packed: bytes) -> None:
        self.slot.put(packed)
        self.ready.set()

    def stop_recording(self, reason: str) -> None:
        """From any thread: what is seen and pressed is not kept any more, and the client is told why."""
        with suppress(RuntimeError):  # the loop has ended, and with it the session
            self.loop.call_soon_threadsafe(self._stop_recording, reason)

    def _stop_recording(self, reason: str) -> None:
        if self.plays is not None:
            self.plays = None
            self.news.append(("not_recorded", reason))
            self.ready.set()

    def fail(self, code: str, message: str) -> None:
        """On the loop: end the session with this error."""
        if not self.failed.done():
            self.failed.set_result((code, message))
