"""The models that are being played: loaded once each, off the event loop, let go when nobody plays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.store import shared
from terrarium.store.places import SHIPPED, place
from terrarium.workers.freezer import Freezer
from terrarium.workers.sessions import Seat, Session
from terrarium.workers.threads import Threads
from terrarium.workers.ticker import Ticker, encode
from terrarium.worlds.played_model import PlayedModel, Simulator

log = logging.getLogger("terrarium.player")
UNLOAD_AFTER_S = 60.0
FREEZE_AFTER_S = 3.0  # the first frames come first


class BadCheckpoint(Exception):
    """A checkpoint that cannot be played; the message says why."""


def load_checkpoint(checkpoint: str) -> PlayedModel:
    """The LiveModel of a checkpoint's id."""
    from terrarium.worlds.world_model.live import LiveModel

    return LiveModel.load(checkpoint_folder(checkpoint))


def checkpoint_folder(checkpoint: str) -> Path:
    """A checkpoint's folder. Other names than `shipped` are UUIDs: no other word of a client is a path."""
    try:
        folder = place("world-model", checkpoint)
    except ValueError:
        raise BadCheckpoint(f"checkpoint {checkpoint!r}: expected {SHIPPED!r} or a checkpoint's id") from None
    if not shared.fetch(folder):
        raise BadCheckpoint(f"checkpoint {checkpoint} is not here")
    return folder


def world_source(world: str) -> dict[str, Any]:
    """The block world of this id, as recordings and simulators name it. ValueError where it is not here."""
    from terrarium.worlds.episodes.record import block_source

    folder = place("block-world", world)
    try:
        here = shared.fetch(folder)
    except OSError as e:
        raise ValueError(f"world {world} cannot be fetched: {e.strerror}") from e
    if not here:
        raise ValueError(f"world {world} is not here")
    return block_source(str(folder))


def prepare(
    model: PlayedModel, seed: int, source: dict[str, Any] | None = None
) -> tuple[Simulator | None, Any, np.ndarray]:
    """A walk's start: the simulator (or None) at `seed` after the burn-in, the model's state there, the picture."""
    world = model.simulator(source)
    frames, actions = model.context(world, seed)
    return world, model.start(frames, actions), frames[-1]


def warm_up(model: PlayedModel) -> None:
    """Go once through all that a session does, so that the first player does not wait for compilers."""
    world, state, _ = prepare(model, 0)
    still = model.layout.from_mask(0, 0.0, 0.0)
    (picture,) = model.step([state], still[None], np.ones(1, np.float32))
    encode(picture)
    if world is not None:
        encode(world.step(still))


class Models:
    """Checkpoint id -> running Ticker. Loading and preparing run in two threads of their own."""

    def __init__(
        self,
        load_model: Callable[[str], PlayedModel],
        on_failed: Callable[[list[Seat], str], None],
        unload_after_s: float = UNLOAD_AFTER_S,
        make_threads: Callable[[], Threads] = Threads,
        freezer: Freezer | None = None,
    ) -> None:
        self.freezer = freezer
        self.load_model, self.on_failed, self.unload_after_s = load_model, on_failed, unload_after_s
        self.make_threads = make_threads
        self.kept: set[str] = set()  # stay loaded with nobody playing
        self._loading: dict[str, asyncio.Task[Ticker]] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="loader")
        self._loop = asyncio.get_running_loop()

    @property
    def loaded(self) -> dict[str, Ticker]:
        done = {k: t for k, t in self._loading.items() if t.done() and not t.cancelled() and not t.exception()}
        return {checkpoint: task.result() for checkpoint, task in done.items()}

    async def acquire(self, checkpoint: str) -> Ticker:
        """The checkpoint's ticker, loaded if need be; give it back with `release`. Raises BadCheckpoint."""
        if checkpoint not in self._loading:
            self._loading[checkpoint] = task = asyncio.create_task(self._load(checkpoint))
            task.add_done_callback(lambda t: t.cancelled() or t.exception())  # seen, though all waiters left
        # Shielded: others may wait for the same model, and the next player will want it.
        ticker = await asyncio.shield(self._loading[checkpoint])
        ticker.users += 1
        return ticker

    def release(self, ticker: Ticker) -> None:
        ticker.users -= 1
        ticker.idle_since = self._loop.time()
        self._loop.call_later(self.unload_after_s, self._unload_if_idle, ticker)

    async def seat(self, session: Session, ticker: Ticker, seed: int, world_id: str | None = None) -> Seat:
        """At `seed` of the model's own worlds, or of the block world `world_id`."""
        source = await self._loop.run_in_executor(self._threads, world_source, world_id) if world_id else None
        world, state, picture = await self._loop.run_in_executor(self._threads, prepare, ticker.model, seed, source)
        if self.freezer and not ticker.freezing:
            ticker.freezing = True
            self._loop.call_later(FREEZE_AFTER_S, self.freezer.add, ticker)
        return Seat(session, ticker.model, ticker.checkpoint, seed, world, state, picture, source)

    def close(self) -> None:
        if self.freezer:
            self.freezer.close()
        for ticker in self.loaded.values():
            ticker.close()
            ticker.wait_closed(5.0)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _load(self, checkpoint: str) -> Ticker:
        try:
            model = await self._loop.run_in_executor(self._threads, self._load_and_warm, checkpoint)
        except BaseException as e:
            del self._loading[checkpoint]
            if isinstance(e, Exception) and not isinstance(e, BadCheckpoint):
                log.warning("checkpoint %s: %s", checkpoint, e)
                raise BadCheckpoint(f"checkpoint {checkpoint} does not load: {e}") from e
            raise
        return Ticker(checkpoint, model, self._failed, self.make_threads())

    def _load_and_warm(self, checkpoint: str) -> PlayedModel:
        model = self.load_model(checkpoint)
        warm_up(model)
        return model

    def _failed(self, ticker: Ticker, seats: list[Seat], reason: str) -> None:
        """In the tick thread."""
        self._loop.call_soon_threadsafe(self._drop, ticker, seats, reason)

    def _drop(self, ticker: Ticker, seats: list[Seat], reason: str) -> None:
        self._forget(ticker)
        self.on_failed(seats, reason)

    def _unload_if_idle(self, ticker: Ticker) -> None:
        idle = ticker.users == 0 and self._loop.time() - ticker.idle_since > 0.9 * self.unload_after_s
        if idle and not ticker.closed and ticker.checkpoint not in self.kept:
            log.info("model %s unloaded", ticker.checkpoint)
            ticker.close()
            self._forget(ticker)

    def _forget(self, ticker: Ticker) -> None:
        if self.loaded.get(ticker.checkpoint) is ticker:
            del self._loading[ticker.checkpoint]
