"""A real `terrarium up` on a small disk of its own: its processes by name, its database, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
from psycopg.rows import dict_row
from redis import Redis

from terrarium.store.db import Connection
from terrarium.store.embedded import socket_dir
from tests.processes import ROOT, free_port, until

WORKERS = 5
MEGABYTES = 700
ROOM = Path(__file__).parent / "room"
SETTINGS = {
    "TERRARIUM_WORKERS": str(WORKERS),
    "TERRARIUM_REQUIRE_KEYS": "true",
    "TERRARIUM_KEY_REQUESTS_PER_MINUTE": "1000000",
    "TERRARIUM_KEY_SESSIONS": "100",
    "TERRARIUM_LEASE_S": "12",  # what takes a minute in life is to happen often here
    "TERRARIUM_HEARTBEAT_S": "2",
    "TERRARIUM_HUNG_AFTER_S": "18",
    "TERRARIUM_RESERVE_MB": "32",
    "TERRARIUM_TORCH_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
END_S = 20.0  # for what must die with another process


class Machine:
    """Everything lies in `home`: data directory, temporary files, output of `up`."""

    def __init__(self, home: Path, has_small_disk: bool) -> None:
        self.home, self.has_small_disk = home, has_small_disk
        self.data, self.temporary = home / "disk" / "data", home / "tmp"
        self.temporary.mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mark = f"TERRARIUM_CHAOS={uuid4().hex}"  # in the environment of all that it starts
        self.up: psutil.Popen | None = None
        self.orphans: list[str] = []

    # ---- the life of `up`

    def start(self) -> None:
        env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
        name, _, value = self.mark.partition("=")
        env |= SETTINGS | {name: value, "TMPDIR": str(self.temporary), "PYTHONPATH": f"{ROOM}:{ROOT}"}
        argv = [sys.executable, "-m", "terrarium.cli.main", "up"]
        argv += ["--data-dir", str(self.data), "--port", str(self.port)]
        with (self.home / "up.log").open("ab") as log:
            self.up = psutil.Popen(argv, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """SIGKILL to `up` alone; what it started must follow it."""
        assert self.up is not None
        self.up.kill()
        self.up.wait()
        self.expect_nobody("after a kill of up")

    def end(self) -> None:
        assert self.up is not None
        self.up.terminate()
        try:
            self.up.wait(120)
        except psutil.TimeoutExpired:
            self.orphans.append("up did not end within 120 s of SIGTERM")
            self.up.kill()
        self.expect_nobody("after the end of up")
        left = [path.name for path in self.temporary.iterdir()]
        own = [name for name in left if not name.startswith("torchinductor_")]  # torch's one cache
        self.orphans += [f"temporary file {name}" for name in own]

    def expect_nobody(self, when: str) -> None:
        """Waits for the end of every process of ours; one that stays is an orphan, and is killed."""
        deadline = time.monotonic() + END_S
        while (alive := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.5)
        for process in alive:
            with suppress(psutil.Error):
                self.orphans.append(f"{when}: process {process.pid} {' '.join(process.cmdline())[:150]}")
                process.kill()

    def revive(self) -> None:
        """`up` starts again by its operator's hand."""
        if self.up is None or not self.up.is_running() or self.up.status() == psutil.STATUS_ZOMBIE:
            self.start()

    def wait_ready(self, timeout_s: float = 240.0) -> None:
        """Until the gateway is ready and there are workers. An `up` that was still ending is started again."""

        def ready() -> bool:
            self.revive()
            with suppress(httpx.HTTPError, OSError, ValueError):
                return httpx.get(f"{self.url}/health/ready", timeout=5).is_success and self.workers != []
            return False

        until(ready, timeout_s, every_s=0.3)

    @property
    def key(self) -> str:
        return (self.data / "key").read_text().strip()

    # ---- processes

    def processes(self) -> list[psutil.Process]:
        """Everything that bears our mark, and Postgres, which gets an environment of its own."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.status() != psutil.STATUS_ZOMBIE and self._is_ours(process):
                    found.append(process)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        if self.mark.encode() in environment:
            return True
        return "postgres" in process.name() and str(self.data) in " ".join(process.cmdline() + [process.cwd()])

    def service(self, name: str) -> psutil.Process | None:
        """By its name in run.json; None while it is down."""
        with suppress(OSError, ValueError, KeyError, psutil.Error):
            process = psutil.Process(json.loads((self.data / "run.json").read_text())["processes"][name])
            if process.status() != psutil.STATUS_ZOMBIE and process.ppid() == (self.up.pid if self.up else 0):
                return process
        return None

    @property
    def workers(self) -> list[psutil.Process]:
        names = ["worker", *(f"worker-{n}" for n in range(2, WORKERS + 1))]
        return [process for name in names if (process := self.service(name)) is not None]

    @property
    def runners(self) -> list[psutil.Process]:
        found = []
        for worker in self.workers:
            with suppress(psutil.Error):
                found += [p for p in worker.children() if p.status() != psutil.STATUS_ZOMBIE]
        return found

    # ---- stores

    @property
    def sockets(self) -> Path:
        return socket_dir(self.data)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Gives up on a server that stands still: psycopg's OperationalError."""
        url = f"postgresql://terrarium@/postgres?host={self.sockets}/pg"
        with Connection.connect(url, connect_timeout=5, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    @contextmanager
    def redis(self) -> Iterator[Redis]:
        with Redis.from_url(f"unix://{self.sockets}/redis.sock", socket_timeout=3, socket_connect_timeout=3) as client:
            yield client

    def hashes(self) -> dict[str, str]:
        """Of every file in the artifact store."""
        files = (self.data / "artifacts").glob("*")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}

    # ---- what is left

    def files_left(self, artifacts: set[str], kept_runs: set[str]) -> list[str]:
        """Files without an owner, two days later: `clean` has run, and may count on their age by then."""
        self._age(self.data / "artifacts")
        env = os.environ | {"TERRARIUM_DATA_DIR": str(self.data), "REDIS_URL": f"unix://{self.sockets}/redis.sock"}
        env |= {"DATABASE_URL": f"postgresql://terrarium@/postgres?host={self.sockets}/pg"}
        env |= {"PYTHONPATH": f"{ROOM}:{ROOT}"}
        argv = [sys.executable, "-m", "terrarium.cli.main", "clean", "--json"]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)
        found = [] if done.returncode == 0 else [f"terrarium clean ended with {done.returncode}: {done.stderr[-500:]}"]
        found += [f"artifact {id} has no row" for id in self.hashes().keys() - artifacts]
        found += [f"run folder of {p.name}" for p in (self.data / "runs").glob("*") if p.name not in kept_runs]
        found += [f"{p}" for p in (self.data / "incoming").glob("*")]
        return found

    def _age(self, folder: Path) -> None:
        then = time.time() - 2 * 86400
        for path in folder.glob("*"):
            os.utime(path, (then, then))

    def keep_logs(self, folder: Path) -> None:
        shutil.copytree(self.data / "logs", folder / "logs", dirs_exist_ok=True)
        shutil.copy(self.home / "up.log", folder)


def tree(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


def send(processes: list[psutil.Process], signum: signal.Signals) -> None:
    """To those that are still the ones we mean: psutil looks at when they began."""
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(signum)
