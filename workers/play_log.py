"""Recorded play: what a session saw and pressed, as worlds/episodes/sources/played.py reads it.

A recording is cut into parts of a minute or so. A part is complete when it gets its name, so a crash costs at most one.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from store import disk
from store.settings import settings
from worlds.durable import new_folder
from worlds.episodes.format import MIN_FRAMES

if TYPE_CHECKING:
    from workers.sessions import Seat

log = logging.getLogger("terrarium.player")
PART = 1200  # actions


class Plays:
    """The folder that recordings go to; one thread writes them."""

    def __init__(self, folder: Path, max_bytes: float) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="play-writer")

    @property
    def full(self) -> bool:
        room = disk.free_bytes(self.folder) - settings().reserve_bytes
        return room < 0 or sum(file.stat().st_size for file in self.folder.glob("*/*.npy")) >= self.max_bytes

    def save(self, name: str, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self._writer.submit(self._save, name, facts, arrays)

    def close(self) -> None:
        """Returns when everything is written."""
        self._writer.shutdown(wait=True)

    def _save(self, name: str, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        try:
            if self.full:
                log.warning("no room in %s, which may hold %.1f GB: a part is lost", self.folder, self.max_bytes / 1e9)
                return
            with new_folder(self.folder / name) as draft:
                for file, array in arrays.items():
                    np.save(draft / f"{file}.npy", array)
                (draft / "play.json").write_text(json.dumps(facts))
        except OSError:
            log.exception("a part of recorded play is lost")


class PlayLog:
    """The recording of one seat, from its present frame on. Parts overlap by one frame.

    A tick thread adds, the event loop closes.
    """

    def __init__(self, plays: Plays, seat: Seat) -> None:
        self.plays, self.seat = plays, seat
        self.walk = f"{seat.seed}-{uuid.uuid4().hex[:12]}"
        self.parts = 0
        self.closed = False
        self._lock = threading.Lock()
        self._begin()

    def add(self, action: np.ndarray) -> None:
        """`action` has led to where the seat is now."""
        with self._lock:
            if self.closed:
                return
            self.actions.append(action)
            self._look()
            if len(self.actions) == PART:
                self._save()
                self._begin()

    def close(self) -> None:
        with self._lock:
            if not self.closed and len(self.frames) >= MIN_FRAMES:
                self._save()
            self.closed = True

    def _begin(self) -> None:
        world = self.seat.world
        self.state = None if world is None else asdict(world.state)
        self.frames: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []
        self.poses: list[np.ndarray] = []
        self._look()

    def _look(self) -> None:
        self.frames.append(self.seat.picture.copy())  # not a view that keeps the whole batch
        if self.seat.world is not None:
            self.poses.append(self.seat.world.pose)

    def _save(self) -> None:
        model = self.seat.ticker.model
        facts = {
            "seed": self.seat.seed,
            "checkpoint": self.seat.ticker.checkpoint,
            "fps": model.fps,
            "action_names": list(model.layout.names),
            "keys": dict(model.layout.keys),
            "source": model.manifest["data"]["source"],
            "state": self.state,
        }
        arrays = {"frames": np.stack(self.frames), "actions": np.stack(self.actions)}
        if self.poses:
            arrays["pose"] = np.stack(self.poses)
        self.plays.save(f"{self.walk}-{self.parts:03d}", facts, arrays)
        self.parts += 1
