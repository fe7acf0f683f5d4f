"""`terrarium keys`: the API keys of a Terrarium, in its database.

    terrarium keys create ada
    terrarium keys create nightly --scopes read,submit --days 90
    terrarium keys list
    terrarium keys revoke 1f0c93ab

It works on the database itself (DATABASE_URL, or the one of `terrarium up` on --data-dir), so the first key can be made
before a gateway runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.cli.adopt import database_url
from terrarium.store import keys
from terrarium.store.data_dir import prepare_data_dir
from terrarium.store.db import engine_for
from terrarium.store.errors import NotFound, Unavailable
from terrarium.store.keys import SCOPES, USUAL
from terrarium.store.tables import ApiKey

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the API keys that let others in.")
DataDir = Annotated[Path, typer.Option(envvar="TERRARIUM_DATA_DIR", help="Of the Terrarium that they are for.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Scopes = Annotated[str, typer.Option(help=f"Some of {','.join(SCOPES)}; admin may do everything.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, or what for.")],
    scopes: Scopes = ",".join(USUAL),
    days: Annotated[float | None, typer.Option(help="Expires after so many. If omitted, it does not.")] = None,
    if_none: Annotated[bool, typer.Option("--if-none", help="Only where nobody has one that lets them in.")] = False,
    data_dir: DataDir = Path(".terrarium"),
    as_json: Json = False,
) -> None:
    """Make a key and print it: now and never again."""
    with database(data_dir) as session:
        if if_none and keys.any_usable(session):
            return
        key, token = keys.make(session, name, [scope.strip() for scope in scopes.split(",")], days)
        facts = {"id": str(key.id), "key": token, "scopes": key.scopes}
    print(json.dumps(facts) if as_json else token)


@app.command("list")
def list_(data_dir: DataDir = Path(".terrarium"), as_json: Json = False) -> None:
    """All keys, the newest first."""

    with database(data_dir) as session:
        rows = session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc())).all()
    times = ("created_at", "expires_at", "last_used_at", "revoked_at")
    if as_json:
        shown = ({time: str(getattr(row, time) or "") or None for time in times} for row in rows)
        facts = ({"id": str(row.id), "prefix": row.prefix, "name": row.name, "scopes": row.scopes} for row in rows)
        print(json.dumps([fact | time for fact, time in zip(facts, shown, strict=True)]))
        return
    table = Table("prefix", "name", "scopes", *(time.removesuffix("_at").replace("_", " ") for time in times), box=None)
    for row in rows:
        at = (getattr(row, time) for time in times)
        table.add_row(row.prefix, row.name, " ".join(row.scopes), *(f"{t:%Y-%m-%d %H:%M}" if t else "-" for t in at))
    Console().print(table)


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="Its eight digits after trm_.")],
    data_dir: DataDir = Path(".terrarium"),
) -> None:
    """Let nobody in with this key any more; a running gateway knows within seconds."""

    with database(data_dir) as session:
        ids = session.scalars(select(ApiKey.id).where(ApiKey.prefix == prefix.removeprefix("trm_"))).all()
        if not ids:
            raise NotFound(f"there is no key {prefix!r}: expected a prefix that `terrarium keys list` shows")
        for id in ids:
            keys.revoke(session, id)


@contextmanager
def database(data_dir: Path) -> Iterator[Session]:
    """A transaction on the database of a data directory."""
    data_dir = prepare_data_dir(data_dir)
    url = database_url(data_dir)
    if not url:
        raise Unavailable(f"no server runs on {data_dir}: start `terrarium up` there, or set DATABASE_URL")
    with Session(engine_for(url), expire_on_commit=False) as session, session.begin():
        yield session


if __name__ == "__main__":
    app()
