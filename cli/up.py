"""`terrarium up`: every service on one machine, from an empty folder to a playable address.

The data directory is checked and locked, the port checked, and only then does anything start. The player,
which loads torch, starts beside PostgreSQL and Redis, the gateway once the schema is there, and the job services
after it, so that they do not keep the first page waiting. All are children of this process, die with it, and are
ended by their own pids.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from cli.adopt import add_checkpoint, copy_checkpoint
from cli.supervisor import Service, Supervisor, say
from store.data_dir import lock_data_dir, prepare_data_dir, write_run
from store.embedded import Child, Postgres, Redis, make_socket_dir, remove_socket_dir, socket_dir
from store.errors import InvalidInput

ROOT = Path(__file__).resolve().parent.parent  # where the packages lie; children run here
ANY_HOST = ("0.0.0.0", "::", "")


def up(
    data_dir: Path,
    host: str,
    port: int,
    worker: bool = True,
    *,
    checkpoint: Path | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
    make_services: Callable[[Place, bool], tuple[list[Service], str]] | None = None,
) -> None:
    """Starts everything, prints the playable address, serves until Ctrl-C or SIGTERM.

    `checkpoint`: a folder whose copy the address opens, instead of the checkpoint that comes with the project.
    """
    data_dir = prepare_data_dir(data_dir)
    children_lock = lock_data_dir(data_dir)
    place = Place(data_dir, host, check_port(host, port), (children_lock,))
    checkpoint_id = copy_checkpoint(checkpoint, data_dir) if checkpoint else None
    address = place.url + (f"?checkpoint={checkpoint_id}" if checkpoint_id else "")
    make_socket_dir(data_dir)
    try:
        services, database_url = (make_services or all_services)(place, worker)
        run = {"pid": os.getpid(), "url": place.url}

        def prepare_schema() -> None:
            from store.db import upgrade_database

            upgrade_database(database_url)
            if checkpoint and checkpoint_id:
                add_checkpoint(database_url, data_dir, checkpoint_id, checkpoint.resolve().parent.name)

        def announce() -> None:
            say(f"\n  Play:  {address}\n\n  Ctrl-C stops everything; logs are in {place.logs}")
            on_ready(address)

        supervisor = Supervisor(
            services,
            prepare_schema=prepare_schema,
            on_ready=announce,
            on_start=lambda pids: write_run(data_dir, run | {"processes": pids}),
        )
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:  # nohup
                signal.signal(signum, supervisor.stop)
        write_run(data_dir, run)
        say(f"Terrarium starts in {data_dir}")
        supervisor.run()
        say("  stopped")
    finally:
        remove_socket_dir(data_dir)
        (data_dir / "run.json").unlink(missing_ok=True)


@dataclass
class Place:
    """Where an `up` runs: its data directory and the gateway's address."""

    data_dir: Path
    host: str
    port: int
    keep_fds: Sequence[int] = ()  # the lock that children hold until they end

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def reach(self) -> str:
        """The host under which this machine reaches the gateway."""
        return "127.0.0.1" if self.host in ANY_HOST else self.host

    @property
    def url(self) -> str:
        host = f"[{self.reach}]" if ":" in self.reach else self.reach
        return f"http://{host}:{self.port}/"


def all_services(place: Place, worker: bool = True) -> tuple[list[Service], str]:
    """Every service, and the database's URL. DATABASE_URL and REDIS_URL replace the embedded servers."""
    stores, urls = store_services(place)
    player_url = os.environ.get("TERRARIUM_PLAYER_URL") or f"unix://{socket_dir(place.data_dir)}/player.sock"
    env = (
        os.environ
        | urls
        | {
            "TERRARIUM_DATA_DIR": str(place.data_dir),
            "TERRARIUM_HOST": place.host,
            "TERRARIUM_PORT": str(place.port),
            "TERRARIUM_PLAYER_URL": player_url,
            "PYTHONUNBUFFERED": "1",
        }
    )

    def python(name: str, module: str, options: str = "") -> Child:
        argv = [sys.executable, "-m", module, *options.split()]
        return Child(name, argv, place.logs / f"{name}.log", env=env, cwd=ROOT, keep_fds=place.keep_fds)

    celery = (
        "-q -A workers.celery_app worker -P threads -c 1 -Q cpu,gpu.train,gpu.generate "
        "--without-gossip --without-mingle -l INFO"
    )
    needs = ["schema", *(store.name for store in stores)]
    services = [
        Service(python("player", "workers.player"), probe=lambda: listens(player_url)),
        *stores,
        Service(python("gateway", "api.server"), needs, probe=lambda: answers(place.reach, place.port)),
        Service(python("dispatcher", "workers.dispatcher"), ["gateway"], awaited=False, stop_turn=1),
    ]
    if worker:  # has time to save what its runner was doing
        service = Service(python("worker", "celery", celery), ["gateway"], awaited=False, drain_s=25, stop_turn=1)
        services.append(service)
    return services, urls["DATABASE_URL"]


def store_services(place: Place) -> tuple[list[Service], dict[str, str]]:
    """The embedded servers that are needed; they stop last."""
    sockets, services = socket_dir(place.data_dir), []
    urls = {name: os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL")}
    if not urls["REDIS_URL"]:
        redis = Redis(place.data_dir / "redis", sockets, place.logs / "redis.log", keep_fds=place.keep_fds)
        services.append(Service(redis, stop_turn=2))
        urls["REDIS_URL"] = redis.url
    if not urls["DATABASE_URL"]:
        log = place.logs / "postgres.log"
        postgres = Postgres(place.data_dir / "postgres", sockets, log, keep_fds=place.keep_fds)
        services.append(Service(postgres, drain_s=20, stop_turn=3))
        urls["DATABASE_URL"] = postgres.url
    return services, urls


def check_port(host: str, port: int) -> int:
    """The port, or a free one for 0; InvalidInput if nothing can listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
            s.listen()
            return int(s.getsockname()[1])
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            hint = "; choose another with --port" if port else ""
            raise InvalidInput(f"cannot listen on {host} port {port}: {reason}{hint}") from error


def listens(url: str) -> bool:
    """Does somebody accept connections at ws://host:port or unix:///path?"""
    parts = urlsplit(url)
    unix = parts.scheme == "unix"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as s:
        s.settimeout(1.0)
        try:
            s.connect(parts.path if unix else (parts.hostname or "127.0.0.1", parts.port or 80))
        except OSError:
            return False
    return True


def answers(host: str, port: int) -> bool:
    """Does the gateway serve? Not "is it ready", which a full disk denies and no restart mends."""
    connection = HTTPConnection(host, port, timeout=2.0)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
