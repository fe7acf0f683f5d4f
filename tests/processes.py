"""The real processes of the job path, started and ended by their own pid."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from terrarium.store.embedded import Child

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def until(look: Callable[[], T], timeout_s: float = 60.0, every_s: float = 0.02) -> T:
    """The first true answer of `look`."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not so within {timeout_s} s: {look}"
        time.sleep(every_s)


class Services:
    """Processes with one environment, each with a log in `logs`."""

    def __init__(self, logs: Path, **env: str) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs, self.env = logs, {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        self.running: list[Child] = []

    def start(self, name: str, *argv: str, **env: str) -> Child:
        """A child that dies with the tests, whatever becomes of them."""
        log = self.logs / f"{name}.log"
        child = Child(name, [sys.executable, "-m", *argv], log, env=self.env | env, cwd=ROOT)
        child.start()
        self.running.append(child)
        return child

    def dispatcher(self) -> Child:
        return self.start("dispatcher", "terrarium.workers.dispatcher")

    def worker(self, app: str = "terrarium.workers.celery_app", **env: str) -> Child:
        """Returns once it takes messages."""
        seen = self.log("worker").count("ready.")
        queues = "cpu,gpu.train,gpu.generate"
        options = ["--without-gossip", "--without-mingle", "-l", "INFO"]
        argv = ["celery", "-q", "-A", app, "worker", "-P", "threads", "-c", "1", "-Q", queues, *options]
        process = self.start("worker", *argv, **env)
        until(lambda: self.log("worker").count("ready.") > seen)
        return process

    def gateway(self) -> str:
        """Returns its address once it is ready."""
        port = free_port()
        self.start("gateway", "terrarium.api.server", TERRARIUM_PORT=str(port))
        url = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            try:
                return httpx.get(f"{url}/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(ready)
        return url

    def stop(self, child: Child, signum: int = signal.SIGTERM, timeout_s: float = 30.0) -> int | None:
        child.signal(signum)
        self.running.remove(child)
        return child.reap(timeout_s)

    def log(self, name: str) -> str:
        path = self.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        for child in self.running:
            child.signal(child.stop_signal)
        for child in self.running:
            child.reap(20)


@contextmanager
def services(logs: Path, **env: Any) -> Iterator[Services]:
    started = Services(logs, **env)
    try:
        yield started
    finally:
        started.close()


@contextmanager
def gateway_thread() -> Iterator[str]:
    """The address of a gateway in this process, on the database and the data directory of the settings."""
    import uvicorn

    from terrarium.api.app import app
    from terrarium.api.server import OPTIONS

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", **OPTIONS))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
