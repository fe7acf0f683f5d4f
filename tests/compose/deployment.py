"""docker compose of this project under a name, with volumes and a port of its own, removed at the end."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from processes import ROOT, free_port, until

NAME = "terrarium-check"
PASSWORD = "it's p@ss:w/rd #1 %41 + $x"  # nothing that a password may hold needs quoting
BEGUN = time.monotonic()


def say(line: str) -> None:
    print(f"{time.monotonic() - BEGUN:7.1f} s  {line}", flush=True)


class Clock:
    """`with Clock() as clock: ...`, then `clock.s`."""

    def __enter__(self) -> Clock:
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.s = time.monotonic() - self.began


class Deployment:
    """`network` is that of the build's containers, where the package index is to be had only there."""

    def __init__(self, profile: str, network: str | None = None) -> None:
        suffix = "-cpu" if profile == "cpu" else ""
        self.worker, self.player = f"worker{suffix}", f"player{suffix}"
        self.images = ["terrarium-gateway", f"terrarium-{profile}"]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.files = ["-f", str(ROOT / "docker-compose.yml")]
        self.scratch = tempfile.TemporaryDirectory(prefix="terrarium-compose-")
        if network:
            services = ("migrate", "gateway", "dispatcher", self.worker, self.player)
            override = Path(self.scratch.name) / "network.json"
            override.write_text(json.dumps({"services": {s: {"build": {"network": network}} for s in services}}))
            self.files += ["-f", str(override)]
        self.env = os.environ | {
            "POSTGRES_PASSWORD": PASSWORD,
            "TERRARIUM_PORT": f"127.0.0.1:{self.port}",
            "COMPOSE_PROFILES": profile,
        }

    def __enter__(self) -> Deployment:
        self.compose("down", "--volumes")  # of a run that was killed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error:
            print(self.compose("ps", "--all"), self.compose("logs", "--tail", "40"), sep="\n")
        self.compose("down", "--volumes", "--timeout", "5")
        self.scratch.cleanup()

    def compose(self, *arguments: str, **env: str) -> str:
        """Its output. The values come from .env.example, except those of this run."""
        options = ["--project-name", NAME, "--env-file", str(ROOT / ".env.example"), *self.files]
        return docker("compose", *options, *arguments, env=self.env | env)

    def inside(self, service: str, command: str) -> str:
        """The output of a shell command in the service's container."""
        return self.compose("exec", "-T", service, "sh", "-c", command).strip()

    def services(self) -> list[dict[str, Any]]:
        """What compose knows of each container: Service, State, Health, ExitCode, ..."""
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json").splitlines()]

    def first_key(self) -> str:
        """The API key that the first start has made."""
        return self.compose("logs", "--no-log-prefix", "first-key").strip().splitlines()[-1]

    def up(self) -> None:
        """Returns when everything is healthy."""
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "600")

    def id(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).strip()

    def healthy(self, service: str) -> bool:
        state = json.loads(docker("inspect", "--format", "{{json .State}}", self.id(service)))
        return state["Running"] and state["Health"]["Status"] == "healthy"

    def kill(self, service: str) -> None:
        """SIGKILL to all of the container. The engine takes it for an operator's wish and leaves it down."""
        docker("kill", self.id(service))

    def crash(self, service: str) -> None:
        """SIGKILL to every process in the container, whose end makes the engine restart it."""
        restarts = self.restarts(service)
        docker("exec", self.id(service), "sh", "-c", "kill -9 -1", check=False)
        until(lambda: self.restarts(service) > restarts)

    def restarts(self, service: str) -> int:
        return int(docker("inspect", "--format", "{{.RestartCount}}", self.id(service)))


def docker(*arguments: str, env: dict[str, str] | None = None, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def image_mb(image: str) -> float:
    """The sum of its layers, unpacked."""
    sizes = docker("history", "--human=false", "--format", "{{.Size}}", image).split()
    return sum(map(int, sizes)) / 1e6
