"""`terrarium doctor`: whether everything that Terrarium needs is here and works, tried out, with what to do if not."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.up import answers, check_port
from terrarium.store import disk, embedded
from terrarium.store.settings import settings
from terrarium.worlds.json_file import read_object

ROOT = Path(__file__).resolve().parent.parent
LITTLE_MEMORY = 4 * 2**30  # bytes; two cores' worth of training and the services take about three
COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}


Server = TypeVar("Server", bound=embedded.Child)


@dataclass(frozen=True)
class Finding:
    what: str
    state: Literal["ok", "warning", "failure"]
    seen: str
    remedy: str = ""


Check = Callable[[Path, str, int], tuple[str, str]]  # data_dir, host, port -> what was seen, a remedy if it is no good


def doctor(data_dir: Path, host: str, port: int, as_json: bool) -> None:
    """Prints the findings; ends the program with 1 where something fails."""
    findings = list(examine(data_dir, host, port))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        show(findings)
    if any(finding.state == "failure" for finding in findings):
        raise typer.Exit(1)


def examine(data_dir: Path, host: str, port: int) -> Iterator[Finding]:
    """Each check by itself: one that raises is a failure, one that has a remedy a warning."""
    for what, check in CHECKS.items():
        try:
            seen, remedy = check(data_dir, host, port)
        except Exception as error:  # whatever it is, the other checks go on
            yield Finding(what, "failure", " ".join(str(error).split()) or type(error).__name__, REMEDIES[what])
        else:
            yield Finding(what, "warning" if remedy else "ok", seen, remedy)


def show(findings: list[Finding]) -> None:
    table = Table("", "", "seen", "what to do", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.what, f"[{COLOURS[finding.state]}]{finding.state}", finding.seen, finding.remedy)
    Console().print(table)


def processor(*_: object) -> tuple[str, str]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    seen = f"{cores} cores, {disk.human(pages)} of memory, Python {platform.python_version()}"
    return seen, "training beside play wants 4 GB" if pages < LITTLE_MEMORY else ""


def computing(*_: object) -> tuple[str, str]:
    import torch

    from terrarium.worlds.device import default_device
    from terrarium.worlds.precision import training_precision

    device = default_device()
    torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)  # a driver that is too old fails here
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    compiler = (
        "" if shutil.which("c++") or shutil.which("g++") or device.type == "cuda" else "install g++: play compiles"
    )
    return f"torch {torch.__version__} on {device}{name}, trains in {training_precision(device)}", compiler


def data(data_dir: Path, *_: object) -> tuple[str, str]:
    there = next(path for path in (data_dir.resolve(), *data_dir.resolve().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise PermissionError(f"cannot write to {there}")
    free, reserve = disk.free_bytes(there), settings().reserve_bytes
    seen = f"{data_dir.resolve()}: {disk.human(free)} free, {disk.human(reserve)} are kept in reserve"
    return seen, "remove something, or choose another --data-dir" if free < 2 * reserve else ""


def database(*_: object) -> tuple[str, str]:
    from psycopg import connect

    from terrarium.store.db import connection_options

    def version(url: str) -> str:
        with connect(**connection_options(url)) as connection:
            return f"PostgreSQL {connection.info.server_version // 10000}"

    if settings().database_url:
        return f"{version(settings().database_url)} at DATABASE_URL", ""
    with tried(embedded.Postgres) as postgres:
        return f"{version(postgres.url)}, embedded: started and stopped", ""


def broker(*_: object) -> tuple[str, str]:
    from terrarium.store.broker import connect

    if settings().redis_url:
        with connect() as client:
            return f"Redis {client.info('server')['redis_version']} at REDIS_URL", ""
    with tried(embedded.Redis):
        return "Redis, embedded: started and stopped", ""


@contextmanager
def tried(make: Callable[[Path, Path, Path], Server]) -> Iterator[Server]:
    """A server that is made of home, sockets and log, started for the while of a `with`."""
    with tempfile.TemporaryDirectory(prefix="terrarium-doctor-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        place.chmod(0o711)  # for the account of Postgres where root runs this
        server = make(place / "home", embedded.make_socket_dir(place), place / "log")
        try:
            server.start()
            server.wait_ready()
            yield server
        finally:
            server.stop()
            embedded.remove_socket_dir(place)


def address(_: Path, host: str, port: int) -> tuple[str, str]:
    if port and answers(host, port):
        return f"a Terrarium answers at http://{host}:{port}", ""
    check_port(host, port)
    return f"{host} port {port} is free", ""


def shipped(*_: object) -> tuple[str, str]:
    """Every checkpoint that came along is what its manifest says."""
    folders = sorted(file.parent for file in (ROOT / "worlds").rglob("model.safetensors"))
    if not folders:
        raise FileNotFoundError(f"no model.safetensors below {ROOT / 'worlds'}")
    for folder in folders:
        found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if found != read_object(folder / "manifest.json").get("sha256"):
            raise ValueError(f"{folder / 'model.safetensors'} is not the file that its manifest describes")
    return f"{len(folders)} checkpoints are as they were made", ""


def client(*_: object) -> tuple[str, str]:
    if not (ROOT / "web/dist/index.html").is_file():
        raise FileNotFoundError(f"no {ROOT / 'web/dist/index.html'}")
    return "the web client is built", ""


CHECKS: dict[str, Check] = {
    "machine": processor,
    "computing": computing,
    "data": data,
    "database": database,
    "broker": broker,
    "address": address,
    "models": shipped,
    "client": client,
}
REMEDIES = {
    "machine": "",
    "computing": "a driver that fits torch, or TERRARIUM_DEVICE=cpu",
    "data": "another --data-dir",
    "database": "look at DATABASE_URL; with none set, at what stands here (docs/troubleshooting.md)",
    "broker": "look at REDIS_URL; with none set, at what stands here (docs/troubleshooting.md)",
    "address": "--port 0 takes a free one",
    "models": "install anew, or `git checkout` the file",
    "client": "make web",
}
