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

from terrarium.cli.adopt import adopt
from terrarium.cli.supervisor import Service, Supervisor, say
from terrarium.store.data_dir import lock_data_dir, prepare_data_dir, write_run
from terrarium.store.embedded import Child, Postgres, Redis, make_socket_dir, remove_socket_dir, socket_dir
from terrarium.store.errors import InvalidInput
from terrarium.store.settings import settings

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
    checkpoint_id = adopt(checkpoint, data_dir, "world-model").id if checkpoint else None
    address = place.url + (f"?checkpoint={checkpoint_id}" if checkpoint_id else "")
    own_key = ""
    make_socket_dir(data_dir)
    try:
        services, database_url = (make_services or all_services)(place, worker)
        run = {"pid": os.getpid(), "url": place.url}

        def prepare_schema() -> None:
            from terrarium.store.db import upgrade_database

            nonlocal own_key
            upgrade_database(database_url)
            own_key = key_of(data_dir, database_url)

        def announce() -> None:
            needed = settings().model_copy(update={"host": host}).needs_key
            link = f"{address}#key={own_key}" if needed else address
            note = "" if needed else "   (asked for with TERRARIUM_REQUIRE_KEYS=true, or another --host)"
            say(f"\n  Play:  {link}\n  Key:   {own_key}{note}\n")
            say(f"  Ctrl-C stops everything; logs are in {place.logs}")
            on_ready(link)

        supervisor = Supervisor(
            services,
            prepare_schema=prepare_schema,
            on_ready=announce,
            on_start=lambda pids: write_run(data_dir, run | {"processes": pids}),
            hung_after_s=settings().hung_after_s,
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


def key_of(data_dir: Path, database_url: str) -> str:
    """The API key of whoever starts this: made once, kept in `data_dir`/key, which nobody else can read. Empty where a
    full disk has no room for it."""
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session

    from terrarium.store import keys
    from terrarium.store.db import engine_for
    from terrarium.store.disk import says_full
    from terrarium.store.errors import Unauthorized

    file = data_dir / "key"
    token = file.read_text().strip() if file.is_file() else ""
    try:
        with Session(engine_for(database_url)) as session, session.begin():
            try:
                keys.verify(session, token)
            except Unauthorized:  # none, or it was revoked, or it is of a database that was here before
                _, token = keys.make(session, "terrarium up", ["admin"])
                with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
                    stream.write(token + "\n")
    except (DBAPIError, OSError) as e:
        if not says_full(e):
            raise
        return ""
    return token


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

    gateway = python(place, env, "gateway", "terrarium.api.server")
    services = [
        player_service(place, env, player_url),
        *stores,
        Service(gateway, ["schema", *(s.name for s in stores)], probe=lambda: answers(place.reach, place.port)),
        with_pulse(place, env, "dispatcher", "terrarium.workers.dispatcher", needs=["gateway"]),
    ]
    if worker:
        services += worker_services(place, env, needs=["gateway"])
    return services, urls["DATABASE_URL"]


def player_service(place: Place, env: dict[str, str], url: str) -> Service:
    return Service(python(place, env, "player", "terrarium.workers.player"), probe=lambda: plays(url))


def worker_services(place: Place, env: dict[str, str], needs: Sequence[str]) -> list[Service]:
    """As many as TERRARIUM_WORKERS says. Each has time to save what its runner was doing."""
    options = (
        "-q -A terrarium.workers.celery_app worker -P threads -c 1 -Q cpu,gpu.train,gpu.generate "
        "--without-gossip --without-mingle -l INFO"
    )
    names = ["worker", *(f"worker-{n}" for n in range(2, settings().workers + 1))]
    return [with_pulse(place, env, name, "celery", f"{options} -n {name}@%h", needs, drain_s=25) for name in names]


def with_pulse(
    place: Place,
    env: dict[str, str],
    name: str,
    module: str,
    options: str = "",
    needs: Sequence[str] = (),
    drain_s: float = 15.0,
) -> Service:
    """A service that serves nobody and shows that it lives by touching a file."""
    pulse = Pulse(socket_dir(place.data_dir) / f"{name}.pulse")
    child = python(place, env | {"TERRARIUM_PULSE": str(pulse.file)}, name, module, options)
    return Service(child, needs, probe=pulse, awaited=False, drain_s=drain_s, stop_turn=1)


def python(place: Place, env: dict[str, str], name: str, module: str, options: str = "") -> Child:
    argv = [sys.executable, "-m", module, *options.split()]
    return Child(name, argv, place.logs / f"{name}.log", env=env, cwd=ROOT, keep_fds=place.keep_fds)


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
        services.append(Service(postgres, lives=lambda: queries(postgres.url), recovers=True, drain_s=20, stop_turn=3))
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


class Pulse:
    """Whether a service has touched its file (workers/pulse.py) since the last look."""

    def __init__(self, file: Path) -> None:
        self.file, self.seen = file, 0

    def __call__(self) -> bool:
        try:
            touched = self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        moved, self.seen = touched != self.seen, touched
        return moved


def queries(database_url: str) -> bool:
    """Does PostgreSQL work? One that refuses in words, since it recovers or has too many clients, does."""
    from psycopg import Error

    from terrarium.store.db import Connection, connection_options

    try:
        with Connection.connect(**connection_options(database_url)) as connection:
            connection.execute("SELECT 1")
    except Error as error:
        return "FATAL" in str(error)
    return True


def plays(url: str) -> bool:
    """Does the player at ws://host:port or unix:///path serve?"""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return _is_ok(UnixConnection(parts.path, timeout=2.0), "/health")
    return _is_ok(HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=2.0), "/health")


def answers(host: str, port: int) -> bool:
    """Does the gateway serve? Not "is it ready", which a full disk denies and no restart mends."""
    return _is_ok(HTTPConnection(host, port, timeout=2.0), "/health/live")


class UnixConnection(HTTPConnection):
    """To a server on a unix socket; the path of the socket stands for its host."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def _is_ok(connection: HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
