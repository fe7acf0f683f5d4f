"""The data directory of a running `terrarium up`: made, locked, and described by its run.json.

A killed `up` lets go of `up.lock` at once. `children.lock` is inherited by every child, so it tells the next
`up` when the last of them (PostgreSQL may still be writing) has ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from terrarium.store.disk import says_full
from terrarium.store.errors import Conflict, InvalidInput, Unavailable


def prepare_data_dir(path: Path) -> Path:
    """Makes the data directory if need be; InvalidInput if nothing can be written there."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InvalidInput(f"cannot write to the data directory {path}: {error.strerror}") from error
    return path.resolve()


def lock_data_dir(data_dir: Path, timeout_s: float = 30.0) -> int:
    """Locks the data directory as long as this process lives; Conflict if an `up` runs on it.

    Returns the descriptor of `children.lock`, to be handed on to every child.
    """
    ours = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + 5  # one that is just starting or stopping has no run.json
    while not _try_lock(ours):
        run = read_run(data_dir)
        if run or time.monotonic() > deadline:
            os.close(ours)
            raise Conflict(f"already running as pid {run.get('pid', '?')} at {run.get('url', '?')}")
        time.sleep(0.05)
    theirs = os.open(data_dir / "children.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + timeout_s
    while not _try_lock(theirs):
        if time.monotonic() > deadline:
            pids = read_run(data_dir).get("processes")
            os.close(theirs)
            os.close(ours)
            raise Unavailable(f"processes of an earlier run still hold {data_dir}: {pids}")
        time.sleep(0.05)
    return theirs


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_run(data_dir: Path) -> dict[str, Any]:
    """run.json: `pid`, `url`, `processes` {name: pid} of a running `up`; empty if there is none."""
    try:
        run = json.loads((data_dir / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return run if isinstance(run, dict) else {}


def write_run(data_dir: Path, run: dict[str, Any]) -> None:
    """Replaces run.json. On a full disk it is overwritten in place, which needs no new block."""
    text = json.dumps(run, indent=2) + "\n"
    file, draft = data_dir / "run.json", data_dir / "run.json.new"
    try:
        draft.write_text(text)
        draft.replace(file)
    except OSError as e:
        if not says_full(e):
            raise
        draft.unlink(missing_ok=True)
        with suppress(OSError), file.open("r+" if file.exists() else "w") as stream:
            stream.write(text)
            stream.truncate()
