"""What may go wrong, by name: each strikes a machine and says in a line what it did, or None where it found nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
from redis.exceptions import RedisError

from terrarium.store.disk import free_bytes
from tests.chaos.machine import send, tree
from tests.chaos.slow import stop_reading

SERVICES = ("gateway", "dispatcher", "player", "redis", "postgres")
HOLD_S = (2.0, 26.0)  # for how long a process stands still: some are taken for hung, some go on
FULL_S = (3.0, 8.0)
GARBAGE = (
    b"garbage",
    b"\xff\xfe\x00",
    b"{}",
    b"[]",
    b"null",
    b"7",
    b'{"headers": {"id": "x"}, "properties": {}}',
    b'{"body": "?", "headers": {}, "properties": {"delivery_tag": "x", "body_encoding": "base64"}}',
    b'{"body": "W10=", "content-type": "application/json", "content-encoding": "utf-8", "headers": {"id": "x", '
    b'"task": "jobs.look"}, "properties": {"delivery_tag": "y", "body_encoding": "base64", "delivery_info": {}}}',
)


@dataclass
class Struck:
    """What is struck, a Machine or Containers, and what is to be undone later."""

    machine: Any
    rng: random.Random
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def after(self, seconds: float, undo: Callable[[], None]) -> None:
        self.later.append((time.monotonic() + seconds, undo))

    def tick(self) -> None:
        due = [undo for at, undo in self.later if at <= time.monotonic()]
        self.later = [(at, undo) for at, undo in self.later if at > time.monotonic()]
        for undo in due:
            undo()

    def undo_all(self) -> None:
        for _, undo in self.later:
            undo()
        self.later = []


Fault = Callable[[Struck], str | None]


def one_of(struck: Struck, name: str) -> psutil.Process | None:
    """A process by its role."""
    machine = struck.machine
    if name in ("worker", "runner"):
        found = machine.workers if name == "worker" else machine.runners
        return struck.rng.choice(found) if found else None
    return machine.service(name)


def kill(name: str, struck: Struck) -> str | None:
    process = one_of(struck, name)
    if process is None:
        return None
    send([process], signal.SIGKILL)
    return f"SIGKILL to {name} {process.pid}"


def stand_still(name: str, struck: Struck) -> str | None:
    """SIGSTOP: it keeps its sockets and locks, and answers nobody. Postgres' backends and a runner's workers too."""
    process = one_of(struck, name)
    if process is None:
        return None
    stopped = tree(process) if name in ("postgres", "runner") else [process]
    send(stopped, signal.SIGSTOP)
    seconds = struck.rng.uniform(*HOLD_S)
    struck.after(seconds, partial(send, stopped, signal.SIGCONT))
    return f"SIGSTOP to {name} {process.pid} for {seconds:.0f} s"


def drain_worker(struck: Struck) -> str | None:
    process = one_of(struck, "worker")
    if process is None:
        return None
    send([process], signal.SIGTERM)
    return f"SIGTERM to worker {process.pid}"


def kill_up(struck: Struck) -> str | None:
    struck.undo_all()  # a process that stands still dies by SIGKILL alone
    struck.machine.kill()
    struck.machine.start()
    return "SIGKILL to up, and its start"


def restart_up(struck: Struck) -> str | None:
    """Whoever runs `up` starts it again once it has ended."""
    struck.undo_all()
    if struck.machine.up is None or not struck.machine.up.is_running():
        return None
    send([struck.machine.up], signal.SIGTERM)
    return "SIGTERM to up, and its start"


def send_garbage(struck: Struck) -> str | None:
    with suppress(RedisError), struck.machine.redis() as redis:
        sent = struck.rng.sample(GARBAGE, 3)
        redis.lpush("cpu", *sent)
        return f"{sent} to the queue cpu"
    return None


def empty_redis(struck: Struck) -> str | None:
    with suppress(RedisError), struck.machine.redis() as redis:
        redis.flushall()
        return "FLUSHALL"
    return None


CLIENTS = "backend_type = 'client backend' AND pid <> pg_backend_pid()"


def cut_connections(struck: Struck) -> str | None:
    with suppress(psycopg.Error):
        rows = struck.machine.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {CLIENTS}")
        return f"pg_terminate_backend to {len(rows)} connections"
    return None


def block_connections(struck: Struck) -> str | None:
    """Some backends stand still, so their clients wait for an answer that does not come; the server lives."""
    with suppress(psycopg.Error, psutil.Error):
        rows = struck.machine.query(f"SELECT pid FROM pg_stat_activity WHERE {CLIENTS} ORDER BY pid")
        some = struck.rng.sample(rows, min(3, len(rows)))
        backends = [psutil.Process(row["pid"]) for row in some]
        send(backends, signal.SIGSTOP)
        seconds = struck.rng.uniform(*HOLD_S)
        struck.after(seconds, partial(send, backends, signal.SIGCONT))
        return f"{len(backends)} connections blocked for {seconds:.0f} s"
    return None


def fill(folder: Path) -> Path:
    """A file that takes all that is free: allocated, since a loaded machine needs minutes to write as much."""
    file = folder / "filler"
    with file.open("ab") as stream:
        for share in (1.0, 0.9999, 0.999, 0.99):  # others write meanwhile
            with suppress(OSError):
                os.posix_fallocate(stream.fileno(), 0, int(share * free_bytes(folder)))
                break
    return file


def fill_disk(struck: Struck) -> str | None:
    if not struck.machine.has_small_disk:
        return None
    filler = fill(struck.machine.home / "disk")
    seconds = struck.rng.uniform(*FULL_S)
    struck.after(seconds, partial(filler.unlink, missing_ok=True))
    return f"disk full for {seconds:.0f} s"


def truncate_state(struck: Struck) -> str | None:
    """Half of the newest state of a training is gone, and its runner with it."""
    for runner in struck.rng.sample(found := struck.machine.runners, len(found)):
        with suppress(psutil.Error, OSError, ValueError, StopIteration):
            log = next(Path(f.path) for f in runner.open_files() if f.path.endswith("runner.log"))
            states = sorted(log.parent.glob("state/step_*"))
            if not states:
                continue
            send([runner], signal.SIGKILL)
            largest = max(states[-1].iterdir(), key=lambda path: path.stat().st_size)
            with largest.open("r+b") as file:
                file.truncate(largest.stat().st_size // 2)
            return f"{states[-1].name}/{largest.name} cut in half, SIGKILL to runner {runner.pid}"
    return None


def stop_reading_streams(struck: Struck) -> str | None:
    with suppress(psycopg.Error):
        running = struck.machine.query("SELECT id::text FROM jobs WHERE state = 'running' LIMIT 1")
        seconds = struck.rng.uniform(10.0, 30.0)
        stop_reading(struck.machine.url, struck.machine.key, running[0]["id"] if running else None, seconds)
        return f"two clients stop reading for {seconds:.0f} s"
    return None


FAULTS: dict[str, Fault] = {
    **{f"kill-{name}": partial(kill, name) for name in ("runner", "worker", *SERVICES)},
    **{f"stop-{name}": partial(stand_still, name) for name in ("runner", "worker", *SERVICES)},
    "kill-up": kill_up,
    "restart-up": restart_up,
    "drain-worker": drain_worker,
    "garbage": send_garbage,
    "flushall": empty_redis,
    "cut-connections": cut_connections,
    "block-connections": block_connections,
    "full-disk": fill_disk,
    "truncated-state": truncate_state,
    "slow-client": stop_reading_streams,
}
