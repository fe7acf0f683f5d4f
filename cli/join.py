"""`terrarium join`: a machine more for a Terrarium that runs elsewhere.

DATABASE_URL, REDIS_URL and TERRARIUM_ARTIFACTS_URL are those of its gateway's machine; nothing else is shared. What a
job or a player needs is fetched into this machine's own data directory, and what they make is sent back
(store/shared.py).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from terrarium.cli.supervisor import Supervisor, say
from terrarium.cli.up import Place, player_service, worker_services
from terrarium.store import broker
from terrarium.store.artifacts import object_store
from terrarium.store.data_dir import lock_data_dir, prepare_data_dir, write_run
from terrarium.store.db import check_schema
from terrarium.store.embedded import make_socket_dir, remove_socket_dir
from terrarium.store.errors import InvalidInput, Unavailable
from terrarium.store.settings import settings

NEEDED = {
    "DATABASE_URL": "postgresql://user@host/name",
    "REDIS_URL": "redis://host:6379/0",
    "TERRARIUM_ARTIFACTS_URL": "s3://bucket/prefix",
}


def join(data_dir: Path, worker: bool, player: str) -> None:
    """Runs jobs, or serves live play at `player` (ws://host:port), until Ctrl-C or SIGTERM."""
    check(worker, player)
    data_dir = prepare_data_dir(data_dir)
    place = Place(data_dir, "", 0, (lock_data_dir(data_dir),))
    make_socket_dir(data_dir)
    env = os.environ | {"TERRARIUM_DATA_DIR": str(data_dir), "TERRARIUM_PLAYER_URL": player, "PYTHONUNBUFFERED": "1"}
    services = worker_services(place, env, needs=["schema"]) if worker else []
    services += [player_service(place, env, player)] if player else []
    for service in services:
        service.awaited = True
    names = " and ".join(service.name for service in services)
    supervisor = Supervisor(
        services,
        on_ready=lambda: say(f"  joined: {names}; Ctrl-C stops, logs are in {place.logs}"),
        on_start=lambda pids: write_run(data_dir, {"pid": os.getpid(), "processes": pids}),
        hung_after_s=settings().hung_after_s,
    )
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, supervisor.stop)
    try:
        supervisor.run()
        say("  stopped")
    finally:
        remove_socket_dir(data_dir)
        (data_dir / "run.json").unlink(missing_ok=True)


def check(worker: bool, player: str) -> None:
    """InvalidInput for what is missing, Unavailable for what does not answer."""
    for name, example in NEEDED.items():
        if not os.environ.get(name):
            raise InvalidInput(f"{name} is not set: expected that of the gateway's machine, such as {example}")
    if not worker and not player:
        raise InvalidInput("nothing to run: leave out --no-worker, or give --player ws://host:port")
    parts = urlsplit(player)
    if player and (parts.scheme != "ws" or not parts.hostname or not parts.port):
        raise InvalidInput(f"--player {player!r}: expected ws://host:port, an address of this machine")
    try:
        check_schema(settings().database_url)
    except OperationalError as e:
        raise Unavailable(f"DATABASE_URL does not answer: {e.orig}") from e
    try:
        with broker.connect() as client:
            client.ping()
    except RedisError as e:
        raise Unavailable(f"REDIS_URL does not answer: {e}") from e
    try:
        next(iter(obstore.list(object_store())), None)
    except (BaseError, ValueError) as e:
        raise Unavailable(f"TERRARIUM_ARTIFACTS_URL does not answer: {e}") from e
