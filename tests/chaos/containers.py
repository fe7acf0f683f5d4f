"""`docker compose` in the place of `terrarium up`: the same run, with the faults of containers.

    PYTHONPATH=.:tests python -m tests.chaos --compose --seed 1 --minutes 5 --json

The images are those that are there (`docker compose build`). The kinds of work lie on the data volume.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.faults import CLIENTS, HOLD_S, Fault, Struck
from tests.chaos.machine import ROOM, SETTINGS
from tests.compose.deployment import Deployment, docker
from tests.processes import ROOT, until

RUNNERS = """
import pathlib
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if b"terrarium.workers.runner" in (folder / "cmdline").read_bytes().split(bytes(1)):
            print(folder.name)
    except OSError:
        pass
"""
AGE = "find /data/artifacts -type f -exec touch -d '2 days ago' {} +"
DOWN_S = (1.0, 6.0)
WORKERS = 3


class Containers:
    """What `Run` needs of a machine."""

    has_small_disk = False

    def __init__(self) -> None:
        self.deployment = Deployment("cpu")
        self.url = self.deployment.url
        self.orphans: list[str] = []
        worker, player = self.deployment.worker, self.deployment.player
        more = {f"{worker}-{n}": self._another(worker) for n in range(2, WORKERS + 1)}
        self.workers = (worker, *more)
        self.services = ("gateway", "dispatcher", *self.workers, player, "redis", "postgres")
        ours = {"PYTHONPATH": "/data/chaos"} | {k: v for k, v in SETTINGS.items() if k != "TERRARIUM_WORKERS"}
        override = Path(self.deployment.scratch.name) / "chaos.json"
        changed = {name: more.get(name, {}) | {"environment": ours} for name in self.services[:-2]}
        override.write_text(json.dumps({"services": changed}))
        self.deployment.files += ["-f", str(override)]

    @staticmethod
    def _another(worker: str) -> dict[str, Any]:
        return {"extends": {"file": str(ROOT / "docker-compose.yml"), "service": worker}}

    def start(self) -> None:
        self.deployment.__enter__()
        self.deployment.up()
        for file in ROOM.glob("*.py"):
            text = base64.b64encode(file.read_bytes()).decode()
            target = f"/data/chaos/{file.name}"
            self.deployment.inside(self.worker, f"mkdir -p /data/chaos && echo {text} | base64 -d > {target}")
        self.deployment.compose("restart", "gateway", "dispatcher", *self.workers)
        self.ids = {service: self.deployment.id(service) for service in self.services}

    def wait_ready(self) -> None:
        self.revive()
        until(lambda: all(map(self.deployment.healthy, self.services)), 300, every_s=1.0)

    def revive(self) -> None:
        """Nothing: the engine restarts what crashed, and a fault that leaves a container down starts it again."""

    def end(self) -> None:
        self.deployment.__exit__(None, None, None)
        left = docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=terrarium-check")
        self.orphans += [f"container {id}" for id in left.split()]

    @property
    def worker(self) -> str:
        return self.deployment.worker

    @property
    def key(self) -> str:
        return self.deployment.first_key()

    @property
    def runners(self) -> list[tuple[str, str]]:
        """(worker, pid in its container) of each."""
        return [(worker, pid) for worker in self.workers for pid in self.runners_of(worker)]

    def runners_of(self, worker: str) -> list[str]:
        return self._python(worker, RUNNERS).split()

    def _python(self, service: str, program: str) -> str:
        return docker("exec", self.ids[service], "python", "-c", program)

    def query(self, sql: str) -> list[dict[str, Any]]:
        rows = f"SELECT coalesce(json_agg(found), '[]') FROM ({sql}) AS found"
        psql = ("psql", "-U", "terrarium", "-d", "terrarium", "-Atc", rows)
        found: list[dict[str, Any]] = json.loads(docker("exec", self.ids["postgres"], *psql))
        return found

    def hashes(self) -> dict[str, str]:
        lines = self.deployment.inside(self.worker, "cd /data/artifacts && sha256sum * || true").splitlines()
        return {name: sha256 for sha256, name in (line.split() for line in lines)}

    def files_left(self, artifacts: set[str], kept_runs: set[str]) -> list[str]:
        inside = partial(self.deployment.inside, self.worker)
        inside(AGE)
        self.deployment.inside("dispatcher", "python -m terrarium.cli.main clean --json")
        runs = set(inside("ls /data/runs 2>/dev/null || true").split()) - kept_runs
        incoming = inside("ls /data/incoming 2>/dev/null || true").split()
        found = [f"artifact {id} has no row" for id in self.hashes().keys() - artifacts]
        return found + [f"run folder of {id}" for id in runs] + [f"incoming {name}" for name in incoming]

    def keep_logs(self, folder: Path) -> None:
        (folder / "compose.log").write_text(self.deployment.compose("logs", "--no-color", "--timestamps"))


def kill(service: str, struck: Struck) -> str:
    """The engine takes it for an operator's wish, so it is the operator who starts it again."""
    id = struck.machine.ids[service]
    docker("kill", id, check=False)
    seconds = struck.rng.uniform(*DOWN_S)
    struck.after(seconds, lambda: docker("start", id, check=False) and None)  # without what it depends on
    return f"docker kill {service}, started again after {seconds:.0f} s"


def crash(service: str, struck: Struck) -> str:
    docker("exec", struck.machine.ids[service], "sh", "-c", "kill -9 -1", check=False)
    return f"SIGKILL to every process of {service}"


def pause(service: str, struck: Struck) -> str:
    id = struck.machine.ids[service]
    docker("pause", id, check=False)
    seconds = struck.rng.uniform(*HOLD_S)
    struck.after(seconds, lambda: docker("unpause", id, check=False) and None)
    return f"docker pause {service} for {seconds:.0f} s"


def restart(service: str, struck: Struck) -> str:
    docker("restart", "--time", "20", struck.machine.ids[service], check=False)
    return f"docker restart {service}"


def kill_runner(struck: Struck) -> str | None:
    with suppress(RuntimeError):
        for worker in struck.rng.sample(struck.machine.workers, WORKERS):
            if pids := struck.machine.runners_of(worker):
                docker("exec", struck.machine.ids[worker], "sh", "-c", f"kill -9 {pids[0]}")
                return f"SIGKILL to a runner of {worker}"
    return None


def redis(command: str, struck: Struck) -> str | None:
    with suppress(RuntimeError):
        docker("exec", struck.machine.ids["redis"], "redis-cli", *command.split())
        return command
    return None


def cut_connections(struck: Struck) -> str | None:
    with suppress(RuntimeError, ValueError):
        struck.machine.query(f"SELECT pg_terminate_backend(pid) AS cut FROM pg_stat_activity WHERE {CLIENTS}")
        return "pg_terminate_backend to all"
    return None


def faults(containers: Containers) -> dict[str, Fault]:
    strikes: dict[str, Callable[[str, Struck], str]] = {
        "kill": kill,
        "crash": crash,
        "pause": pause,
        "restart": restart,
    }
    every: dict[str, Fault] = {
        f"{name}-{s}": partial(strike, s) for name, strike in strikes.items() for s in containers.services
    }
    more: dict[str, Fault] = {
        "kill-runner": kill_runner,
        "garbage": partial(redis, "lpush cpu garbage {} null"),
        "flushall": partial(redis, "flushall"),
        "cut-connections": cut_connections,
    }
    return every | more
