"""Rows for what people brought: folders with an origin.json (worlds/intake.py)."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from terrarium.store import assets, shared
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict
from terrarium.store.jsonb import clean
from terrarium.store.places import place
from terrarium.store.settings import settings
from terrarium.store.tables import Asset
from terrarium.worlds.intake import ORIGIN
from terrarium.worlds.json_file import read_object

log = logging.getLogger("terrarium.gateway")


def register(session: Session, folder: Path) -> bool:
    """The row of a folder that lies in its place, unless it has one; True if it had none.

    The manifest in the row also says where it came from, under `origin`. ValueError where a file cannot be read.
    """
    origin, manifest = read_object(folder / ORIGIN), read_object(folder / "manifest.json")
    report = folder / "evaluation.json"
    facts = {
        "name": origin["name"],
        "manifest": manifest | {"origin": origin},
        "evaluation": read_object(report) if report.is_file() else None,
        "made_from": origin.get("made_from", []),
    }
    staged = None if shared.is_published(folder) else shared.stage(folder)
    new = assets.bring(session, origin["type"], folder, clean(facts))
    if new and staged:
        staged.publish()
    return new


def add_brought() -> None:
    """Rows for the folders that were brought while no database ran (`terrarium add`)."""
    for file in sorted(settings().data_dir.resolve().glob(f"*/*/{ORIGIN}")):
        try:
            with session_scope() as session:
                if _is_news(session, file):
                    register(session, file.parent)
        except (ValueError, KeyError, TypeError, OSError, Conflict) as e:
            log.warning("%s: not taken into the library: %s", file.parent, e)


def _is_news(session: Session, file: Path) -> bool:
    """Whether a folder has no row, or one that was deleted before the folder came."""
    origin: dict[str, Any] = read_object(file)
    if place(origin["type"], file.parent.name) != file.parent:
        raise ValueError(f"{ORIGIN} is that of a {origin['type']}, which lies elsewhere")
    row = session.get(Asset, file.parent.name)
    if row is None:
        return True
    return row.deleted_at is not None and row.deleted_at < datetime.fromisoformat(origin["added_at"])
