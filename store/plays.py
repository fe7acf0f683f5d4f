"""Recorded play on disk, as the player wrote it (workers/play_log.py): listed, looked up, deleted.

    plays/<id>/000/{play.json, frames.npy, actions.npy, pose.npy}    a walk, in parts of a minute
    plays/<id>/000/picture.jpg                                       a frame of its first

A folder that holds its files itself is one part; a name that begins with a dot is still being written.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from terrarium.store import shared
from terrarium.store.moves import TERMINAL
from terrarium.store.tables import Job

ID = re.compile(r"^\w[\w-]{0,99}$")
PICTURE = "picture.jpg"


class Facts(TypedDict):
    """What the gateway shows of a play.json, and what it needs to see whether the files are whole."""

    fps: Annotated[float, Field(gt=0, le=1000)]
    frame_size: tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]]
    frames: Annotated[int, Field(ge=1, le=10**9)]
    seed: NotRequired[int | None]
    checkpoint: NotRequired[str | None]
    source: NotRequired[dict[str, Any] | None]
    state: NotRequired[dict[str, Any] | None]
    action_names: NotRequired[list[str] | None]


FACTS: TypeAdapter[Any] = TypeAdapter(Facts)


@dataclass(frozen=True)
class Play:
    id: str
    seed: int | None
    checkpoint: str | None  # the world model that was played
    world: str | None  # the simulator's terrain or map; None where there is no simulator to walk again
    frames: int
    seconds: float
    size: int  # bytes on disk
    action_names: list[str]
    recorded_at: datetime
    problem: str | None  # why a part of it cannot be used


def list_plays(folder: Path) -> list[Play]:
    """Every recording, newest first; a damaged one too, with what is wrong. OSError as of `shared.mirror`."""
    shared.mirror(folder)
    found = [_read(path) for path in folder.iterdir() if _is_play(path)] if folder.is_dir() else []
    return sorted(found, key=lambda play: play.recorded_at, reverse=True)


def find_play(folder: Path, id: str) -> Play | None:
    path = play_folder(folder, id)
    return _read(path) if path is not None else None


def play_folder(folder: Path, id: str) -> Path | None:
    """Where a recording lies; None if there is none. OSError as of `shared.mirror`."""
    path = play_place(folder, id) if ID.match(id) else None
    if path is not None:
        shared.mirror(path)
    return path if path is not None and _is_play(path) else None


def picture_of(folder: Path) -> Path | None:
    """A frame of a recording; of an old one it lies beside the parts."""
    return next((file for file in (folder / PICTURE, *sorted(folder.glob(f"*/{PICTURE}"))) if file.is_file()), None)


def play_place(folder: Path, id: str) -> Path:
    """Where it would lie. ValueError for what is no id: nothing that a client names leads out of `folder`."""
    if not ID.match(id):
        raise ValueError(f"{id!r} is no recording's id")
    return folder / id


def job_that_needs(session: Session, id: str) -> Job | None:
    """One that has not ended and is to make a dataset of it; such a job that names none takes all there are."""
    open_jobs = select(Job).where(Job.kind == "dataset.import-play", Job.state.not_in(TERMINAL))
    for job in session.scalars(open_jobs):
        wanted = job.config.get("plays")
        if not wanted or id in wanted:
            return job
    return None


def delete_play(folder: Path, id: str) -> None:
    """Renamed first, so that half of a recording is never listed."""
    path = play_folder(folder, id)
    if path is not None:
        shared.forget(path)
        gone = path.rename(path.with_name(f".deleted-{id}"))
        shutil.rmtree(gone)


def _is_play(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and ID.match(path.name) is not None


def _parts(path: Path) -> Iterator[Path]:
    if (path / "play.json").is_file():
        yield path
    yield from (part for part in sorted(path.iterdir()) if part.is_dir() and not part.name.startswith("."))


def _read(path: Path) -> Play:
    facts: list[dict[str, Any]] = []
    problem = None
    parts = list(_parts(path))
    for part in parts:
        try:
            facts.append(_facts(part))
        except ValueError as e:
            problem = problem or f"{part.name}: {e}"
    first: dict[str, Any] = facts[0] if facts else {}
    source = first.get("source") or {}
    frames = sum(f["frames"] for f in facts) - max(0, len(facts) - 1)  # parts overlap by one frame
    return Play(
        id=path.name,
        seed=first.get("seed"),
        checkpoint=first.get("checkpoint"),
        world=source.get("terrain") if source.get("kind") == "blocks" and first.get("state") else None,
        frames=frames,
        seconds=round(frames / first["fps"], 1) if facts else 0.0,
        size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        action_names=list(first.get("action_names") or []),
        recorded_at=datetime.fromtimestamp(max(map(_written, parts), default=path.stat().st_mtime), UTC),
        problem=problem or (None if facts else "no part of it is there"),
    )


def _written(part: Path) -> float:
    """By its file: a folder's own time is when this machine got it."""
    file = part / "play.json"
    return (file if file.is_file() else part).stat().st_mtime


def _facts(part: Path) -> dict[str, Any]:
    """play.json, and how many frames there are: by their file's size, so that a truncated one is seen."""
    try:
        facts: dict[str, Any] = FACTS.validate_json((part / "play.json").read_bytes(), strict=True)
        (height, width), frames = facts["frame_size"], facts["frames"]
        missing = [name for name in ("frames.npy", "actions.npy") if not (part / name).is_file()]
        bare = frames * height * width * 3
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"play.json cannot be read: {where}: {first['msg']}") from None
    except OSError as e:
        raise ValueError(f"play.json cannot be read: {e}") from None
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing")
    if (part / "frames.npy").stat().st_size < bare + _npy_header(part / "frames.npy"):
        raise ValueError(f"frames.npy is truncated: expected {frames} frames of {width}x{height}")
    return facts


def _npy_header(path: Path) -> int:
    """Bytes before the data of a .npy file of version 1 (numpy.lib.format), which the gateway reads without numpy."""
    with path.open("rb") as file:
        return 10 + int.from_bytes(file.read(10)[8:], "little")
