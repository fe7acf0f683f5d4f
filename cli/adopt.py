"""What was made elsewhere, or by the command line, becomes an asset of a data directory.

terrarium add out/mixed/world-model/output
terrarium add downloads/harbour.zip --name Harbour --data-dir /srv/terrarium
terrarium play --checkpoint out/mixed/world-model/output
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import typer

from terrarium.store.data_dir import prepare_data_dir, read_run
from terrarium.store.embedded import Postgres, socket_dir
from terrarium.store.errors import InvalidInput
from terrarium.store.places import place
from terrarium.store.settings import settings
from terrarium.worlds.intake import Taken, new_draft, take_in
from terrarium.worlds.kinds import asset_types

CLOSED = {"output", *asset_types()}  # what recipes call the folders in which they put things


def add(path: Path, data_dir: Path, type: str | None, name: str | None, as_json: bool) -> None:
    """`terrarium add`."""
    data_dir = prepare_data_dir(data_dir)
    taken = adopt(path, data_dir, type, name)
    if not list_it(taken, data_dir):
        typer.echo(f"no server runs on {data_dir}: the next `terrarium up` lists it", err=True)
    found = {"id": taken.id, "type": taken.type, "folder": str(taken.folder)}
    print(json.dumps(found) if as_json else f"{taken.type} {taken.id}")


def adopt(path: Path, data_dir: Path, type: str | None = None, name: str | None = None) -> Taken:
    """Copies a folder or a zip to its place in `data_dir`, unless it is there. A gateway that starts makes its row.

    It is loaded first, as a job would. InvalidInput says what is wrong with it.
    """
    from terrarium.store.disk import check_room

    if type is not None and type not in asset_types():
        raise InvalidInput(f"unknown type {type!r}: expected one of {', '.join(asset_types())}")
    if not path.exists():
        raise InvalidInput(f"{path} is not there: expected a folder or a zip")
    facts = {"name": name or _name(path), "file": path.name, "from": path.resolve()}
    origin = {key: _text(value) for key, value in facts.items()}
    if path.is_file():
        with path.open("rb") as stream:
            origin["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    with new_draft(data_dir / "incoming") as draft:
        (draft / "asset").mkdir()
        try:
            return take_in(
                path,
                draft / "asset",
                lambda type, id: place(type, id, data_dir),
                origin,
                type=type,
                room=lambda size: check_room(data_dir, size, str(path)),
                opened=True,
            )
        except ValueError as e:
            raise InvalidInput(f"{path}: {e}") from None


def list_it(taken: Taken, data_dir: Path) -> bool:
    """Adds its row, if a server runs on `data_dir`: it lists it at once. False where none runs."""
    from sqlalchemy.exc import OperationalError, ProgrammingError
    from sqlalchemy.orm import Session

    from terrarium.api.brought import register
    from terrarium.store.db import engine_for

    url = database_url(data_dir)
    if not url:
        return False
    try:
        with Session(engine_for(url)) as session, session.begin():
            register(session, taken.folder)
    except (OperationalError, ProgrammingError):  # it does not run yet, or has no tables yet
        return False
    return True


def database_url(data_dir: Path) -> str:
    """Of the server that runs on a data directory; "" where none does."""
    if url := settings().database_url:
        return url
    return Postgres(data_dir / "postgres", socket_dir(data_dir), data_dir / "logs").url if read_run(data_dir) else ""


def _name(path: Path) -> str:
    """That of the folder that a person chose: out/mixed/world-model/output is `mixed`."""
    path = path.resolve()
    named = [part for part in (path.stem if path.is_file() else path.name, *(p.name for p in path.parents)) if part]
    return next((part for part in named if part not in CLOSED), "")[:100]


def _text(value: object) -> str:
    """Without the odd bytes that a path may hold and a database does not take."""
    return str(value).encode(errors="replace").decode()
