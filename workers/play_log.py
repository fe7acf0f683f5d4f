"""Recorded play: what a session saw and pressed, for store/plays.py to list and episodes/sources/played.py to read.

A recording is cut into parts of a minute or so. A part is complete when it gets its name, so a crash costs at most one.
What cannot be kept, since the disk or the share of it is full, ends the recording, and the person who plays is told.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg

from terrarium.store import disk, shared
from terrarium.store.plays import PICTURE
from terrarium.store.settings import settings
from terrarium.worlds.durable import sync
from terrarium.worlds.episodes.format import MIN_FRAMES
from terrarium.worlds.played_model import PlayedModel, Simulator

log = logging.getLogger("terrarium.player")
PART = 1200  # actions


class Plays:
    """The folder that recordings go to; one thread writes them."""

    def __init__(self, folder: Path, max_bytes: float) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="play-writer")
        self._writer.submit(self._share)

    def refusal(self) -> str | None:
        """Why nothing more is kept; None while there is room."""
        used = sum(file.stat().st_size for file in self.folder.rglob("*.npy"))
        if used >= self.max_bytes:
            limit = f"{self.max_bytes / 1e9:.1f} GB"
            return f"recorded play fills its {limit}: delete some of it, or raise TERRARIUM_MAX_PLAYS_GB"
        free = disk.free_bytes(self.folder)
        if free < settings().reserve_bytes:
            return f"low disk: {disk.human(free)} are free, {disk.human(settings().reserve_bytes)} kept in reserve"
        return None

    def save(self, part: Part, lost: Callable[[str], None]) -> None:
        """Writes in a thread. Calls `lost` with the reason, from that thread, if the part could not be kept."""
        self._writer.submit(self._save, part, lost)

    def close(self) -> None:
        """Returns when everything is written."""
        self._writer.shutdown(wait=True)

    def _save(self, part: Part, lost: Callable[[str], None]) -> None:
        reason = self.refusal()
        if reason is None:
            draft = self.folder / f".{part.walk}-{part.number:03d}"
            try:
                part.write(draft)
                if part.number == 0:
                    (draft / PICTURE).write_bytes(part.picture())
                home = self.folder / part.walk
                home.mkdir(exist_ok=True)
                draft.rename(home / f"{part.number:03d}")
                sync(home)
            except OSError as e:
                reason = f"a part of recorded play could not be written: {e.strerror or e}"
                shutil.rmtree(draft, ignore_errors=True)
        if reason is not None:
            log.warning("%s (%s)", reason, self.folder)
            lost(reason)
        self._share()

    def _share(self) -> None:
        """Whatever other machines do not have yet. An object store that is out of reach gets it after the next part."""
        for facts in sorted(self.folder.glob("[!.]*/[!.]*/play.json")) if shared.active() else ():
            try:
                if not (facts.parent / shared.COPY).is_file():
                    shared.publish(facts.parent)
            except OSError as e:
                log.warning("recorded play %s stays on this machine for now: %s", facts.parent, e)
                return


class Part(NamedTuple):
    walk: str
    number: int
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array)
        (folder / "play.json").write_text(json.dumps(self.facts))
        for file in folder.iterdir():
            sync(file)

    def picture(self) -> bytes:
        """The frame in the middle as JPEG."""
        frames = self.arrays["frames"]
        return simplejpeg.encode_jpeg(np.ascontiguousarray(frames[len(frames) // 2]), quality=85, colorspace="RGB")


class PlayLog:
    """The recording of one walk, from the picture it begins with. Parts overlap by one frame.

    A tick thread adds, the event loop closes. `lost` is called with the reason if a part could not be kept. `source` is
    that of `world` where it is not the model's own.
    """

    def __init__(
        self,
        plays: Plays,
        model: PlayedModel,
        checkpoint: str,
        seed: int,
        world: Simulator | None,
        picture: np.ndarray,
        lost: Callable[[str], None],
        source: dict[str, Any] | None = None,
    ) -> None:
        self.plays, self.world, self.lost = plays, world, lost
        self.walk = f"{seed}-{uuid.uuid4().hex[:12]}"
        self.facts = {
            "seed": seed,
            "checkpoint": checkpoint,
            "fps": model.fps,
            "action_names": list(model.layout.names),
            "keys": dict(model.layout.keys),
            "source": source or model.manifest["data"]["source"],
        }
        self.parts = 0
        self.closed = False
        self._lock = threading.Lock()
        self._begin(picture)

    def add(self, action: np.ndarray, picture: np.ndarray) -> None:
        """`action` has led to `picture`, and the world to where it is now."""
        with self._lock:
            if self.closed:
                return
            self.actions.append(action)
            self._look(picture)
            if len(self.actions) == PART:
                self._save()
                self._begin(picture)

    def close(self) -> None:
        with self._lock:
            if not self.closed and len(self.frames) >= MIN_FRAMES:
                self._save()
            self.closed = True

    def _begin(self, picture: np.ndarray) -> None:
        self.state = None if self.world is None else asdict(self.world.state)
        self.frames: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []
        self.poses: list[np.ndarray] = []
        self._look(picture)

    def _look(self, picture: np.ndarray) -> None:
        self.frames.append(picture.copy())  # not a view that keeps the whole batch
        if self.world is not None:
            self.poses.append(self.world.pose)

    def _save(self) -> None:
        size = {"frames": len(self.frames), "frame_size": list(self.frames[0].shape[:2])}
        arrays = {"frames": np.stack(self.frames), "actions": np.stack(self.actions)}
        if self.poses:
            arrays["pose"] = np.stack(self.poses)
        self.plays.save(Part(self.walk, self.parts, self.facts | size | {"state": self.state}, arrays), self.lost)
        self.parts += 1
