"""What piles up, and what goes when: `terrarium clean`, and the dispatcher once an hour.

RULES is the policy, a function for each sort of thing; docs/deployment.md has it as a table. All of them may run at any
time and several times at once: what a job that has not ended, a play or a waiting step of a plan needs stays, and who
takes a thing over locks the same row.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import obstore
from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from terrarium.store import artifacts, assets, plays, shared
from terrarium.store.db import session_scope
from terrarium.store.disk import size_of
from terrarium.store.moves import TERMINAL
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Base, IdempotencyKey, Job, JobEvent, PlaySession, WebhookDelivery
from terrarium.workers import run_folder
from terrarium.worlds.intake import abandoned_drafts

log = logging.getLogger("terrarium.retention")
T = TypeVar("T")
PASSING = ("progress", "metrics", "log")  # events that curves (the table metrics) and the log's artifact outlive
UNLISTED_DAYS = 1.0  # bytes of an artifact without a row: its transaction may still be under way
DELIVERIES_DAYS = 30.0  # to webhooks, to look back at
DRAFT_S = 3600.0  # a part of recorded play is written within seconds
AT_ONCE = 2000  # rows of a statement, which has database_timeout_s


@dataclass(frozen=True)
class Heap:
    """Of one sort of thing: what goes, or went."""

    files: dict[str, int] = field(default_factory=dict)  # {path in the data directory, or artifact: bytes}
    rows: int = 0

    @property
    def size(self) -> int:
        return sum(self.files.values())


def clean(remove: bool = True) -> dict[str, Heap]:
    """{sort of thing: what is past its time}, removed unless `remove` is false."""
    return {what: rule(remove) for what, rule in RULES.items()}


def clean_after_run() -> None:
    """On a worker's machine, which may be another than the dispatcher's. OSError where the object store fails."""
    run_folders(remove=True)
    if shared.active():
        deleted_assets(remove=True)
        copies(remove=True)


def clean_in_background() -> None:
    """For a thread: an error is logged, and the next try is the dispatcher's."""
    try:
        for what, heap in clean().items():
            if heap.files or heap.rows:
                log.info("%s: removed %d files (%d bytes), %d rows", what, len(heap.files), heap.size, heap.rows)
    except Exception:
        log.exception("not everything could be cleaned up")


# ---- files


def run_folders(remove: bool) -> Heap:
    return _listed(run_folder.sweep(remove))


def deleted_assets(remove: bool) -> Heap:
    """Files that a crash has left between the deletion's commit and their removal, and copies of what another machine
    has deleted."""
    with session_scope() as session:
        left = assets.left_over(session)
    found = {folder: size_of(folder) for folder in left.values()}
    for id in left if remove else ():
        with session_scope() as session:
            assets.remove_files(session, id)
    return _listed(found)


def uploads(remove: bool) -> Heap:
    """Drafts of uploads whose process was killed."""
    found = {}
    for draft in abandoned_drafts(settings().incoming_dir):
        found[draft] = size_of(draft)
        if remove:
            shutil.rmtree(draft, ignore_errors=True)
    return _listed(found)


def recorded_play(remove: bool) -> Heap:
    """What is older than TERRARIUM_KEEP_PLAYS_DAYS, and parts that a killed player has begun."""
    folder, days = settings().plays_dir, settings().keep_plays_days
    drafts = [path for path in folder.glob(".*") if time.time() - path.stat().st_mtime > DRAFT_S]
    found = {path: size_of(path) for path in drafts}
    for path in drafts if remove else ():
        shutil.rmtree(path, ignore_errors=True)
    for play in plays.list_plays(folder) if days else ():
        if time.time() - play.recorded_at.timestamp() < days * 86400:
            continue
        with session_scope() as session:
            if plays.job_that_needs(session, play.id):
                continue
        found[folder / play.id] = play.size
        if remove:
            plays.delete_play(folder, play.id)
    return _listed(found)


def unlisted_artifacts(remove: bool) -> Heap:
    """Bytes whose row was never committed. None where no row fits any of them: the store is another database's."""
    if not settings().artifacts_url and not settings().artifacts_dir.is_dir():
        return Heap()
    unlisted: dict[str, int] = {}
    some_listed = False
    before = datetime.now(UTC) - timedelta(days=UNLISTED_DAYS)
    for stored in obstore.list(artifacts.object_store()):
        ids = {o["path"]: UUID(o["path"]) for o in stored if _is_id(o["path"])}
        with session_scope() as session:
            known = set(session.scalars(select(Artifact.id).where(Artifact.id.in_(ids.values()))))
        some_listed = some_listed or bool(known)
        old = [o for o in stored if o["path"] in ids and ids[o["path"]] not in known and o["last_modified"] < before]
        unlisted |= {o["path"]: o["size"] for o in old}
    if not some_listed:
        return Heap()
    if remove and unlisted:
        obstore.delete(artifacts.object_store(), list(unlisted))
    return Heap(unlisted)


def copies(remove: bool) -> Heap:
    """Of shared assets, the longest unused beyond TERRARIUM_MAX_COPIES_GB: who needs them again fetches them."""
    found: dict[Path, int] = {}
    sizes = {folder: size_of(folder) for _, folder in shared.copies()}
    excess = sum(sizes.values()) - settings().max_copies_gb * 1e9
    for folder, size in sizes.items():
        if excess <= 0:
            break
        with session_scope() as session:
            if assets.is_needed(session, folder.name):
                continue
        found[folder] = size
        excess -= size
        if remove:
            shutil.rmtree(folder, ignore_errors=True)
    return _listed(found)


def superseded(remove: bool) -> Heap:
    """Files in the object store that are part of no folder: of a try that was cut off, or of an old version."""
    found = shared.superseded(UNLISTED_DAYS * 86400)
    if remove and found:
        obstore.delete(artifacts.object_store(), list(found))
    return Heap(found)


def previews(remove: bool) -> Heap:
    """Of an ended job, those that a later one of the same name has replaced; with the events that show them."""
    newest_first = (Artifact.created_at.desc(), Artifact.id.desc())
    age = func.row_number().over(partition_by=(Artifact.job_id, Artifact.name), order_by=newest_first)
    of_ended = select(Artifact.id, Artifact.job_id, Artifact.size, age.label("age")).join(Job)
    of_ended = of_ended.where(Artifact.role == "preview", _ended(settings().keep_previews_days))
    ranked = of_ended.subquery()
    with session_scope() as session:
        rows = session.execute(select(ranked.c.id, ranked.c.job_id, ranked.c.size).where(ranked.c.age > 1)).all()
    for some in _batches(rows, AT_ONCE) if remove else ():
        ids, job_ids = [row.id for row in some], {row.job_id for row in some}
        shown = JobEvent.data["id"].astext.in_([str(id) for id in ids])
        with session_scope() as session:
            session.execute(delete(Artifact).where(Artifact.id.in_(ids)))
            session.execute(delete(JobEvent).where(JobEvent.job_id.in_(job_ids), JobEvent.type == "file", shown))
        obstore.delete(artifacts.object_store(), [str(id) for id in ids])
    return Heap({str(row.id): row.size for row in rows})


# ---- rows


def events(remove: bool) -> Heap:
    """Of ended jobs: curves and the log are kept elsewhere."""
    with session_scope() as session:
        jobs = session.scalars(select(Job.id).where(_ended(settings().keep_events_days))).all()
    where = [(JobEvent.job_id.in_(some), JobEvent.type.in_(PASSING)) for some in _batches(jobs, 200)]
    key = (JobEvent.job_id, JobEvent.seq)
    return Heap(rows=sum(_rows(JobEvent, key, condition, remove) for condition in where))


def play_sessions(remove: bool) -> Heap:
    """Records of live sessions, those that a killed gateway has left open among them."""
    old = _older(PlaySession.created_at, settings().keep_sessions_days)
    return Heap(rows=_rows(PlaySession, (PlaySession.id,), (old,), remove))


def idempotency_keys(remove: bool) -> Heap:
    old = _older(IdempotencyKey.created_at, settings().keep_idempotency_days)
    return Heap(rows=_rows(IdempotencyKey, (IdempotencyKey.key,), (old,), remove))


def deliveries(remove: bool) -> Heap:
    """To webhooks, those that are over."""
    over = (WebhookDelivery.due_at.is_(None), _older(WebhookDelivery.created_at, DELIVERIES_DAYS))
    return Heap(rows=_rows(WebhookDelivery, (WebhookDelivery.id,), over, remove))


RULES: dict[str, Callable[[bool], Heap]] = {
    "run folders": run_folders,
    "deleted assets": deleted_assets,
    "broken uploads": uploads,
    "recorded play": recorded_play,
    "unlisted artifacts": unlisted_artifacts,
    "unused copies": copies,
    "superseded files": superseded,
    "replaced previews": previews,
    "events": events,
    "play sessions": play_sessions,
    "idempotency keys": idempotency_keys,
    "webhook deliveries": deliveries,
}


def _rows(
    table: type[Base],
    key: Sequence[InstrumentedAttribute[Any]],
    where: Sequence[ColumnElement[bool]],
    remove: bool,
) -> int:
    """How many rows there are, or were: deleted some at a time."""
    if not remove:
        with session_scope() as session:
            return session.scalar(select(func.count()).select_from(table).where(*where)) or 0
    total = 0
    while True:
        some = select(*key).where(*where).limit(AT_ONCE)
        with session_scope() as session:
            gone = len(session.execute(delete(table).where(tuple_(*key).in_(some)).returning(key[0])).all())
        total += gone
        if gone < AT_ONCE:
            return total


def _batches(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _ended(days: float) -> ColumnElement[bool]:
    return Job.state.in_(TERMINAL) & _older(Job.finished_at, days)


def _older(column: InstrumentedAttribute[Any], days: float) -> ColumnElement[bool]:
    return column < func.clock_timestamp() - timedelta(days=days)


def _listed(sizes: dict[Path, int]) -> Heap:
    home = settings().data_dir.resolve()
    return Heap({str(path.resolve().relative_to(home)): size for path, size in sizes.items()})


def _is_id(path: str) -> bool:
    try:
        return str(UUID(path)) == path
    except ValueError:
        return False
