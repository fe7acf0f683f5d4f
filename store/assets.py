"""Assets: what there is, where it came from, and what may be done with it. The caller's transaction throughout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from terrarium.store import shared
from terrarium.store.disk import size_of
from terrarium.store.errors import Conflict, NotFound
from terrarium.store.moves import TERMINAL
from terrarium.store.places import SHIPPED, place
from terrarium.store.tables import Artifact, Asset, Job, PlaySession

MOST_RELATED = 200  # assets in a family


def living() -> Select[Asset]:
    return select(Asset).where(Asset.deleted_at.is_(None))


def search(types: Sequence[str] = (), text: str | None = None, tag: str | None = None) -> Select[Asset]:
    """Assets that are not deleted: of these types, with `text` in their name, notes or id, with this tag."""
    statement = living()
    if types:
        statement = statement.where(Asset.type.in_(types))
    if text:
        fields = (Asset.name, Asset.notes, Asset.id)
        statement = statement.where(or_(*(field.icontains(text, autoescape=True) for field in fields)))
    if tag:
        statement = statement.where(Asset.tags.contains([tag]))
    return statement


def get(session: Session, id: str) -> Asset:
    """NotFound where there is none, or it was deleted."""
    asset = session.get(Asset, id)
    if asset is None or asset.deleted_at is not None:
        raise NotFound(f"there is no asset {id}", code="asset_not_found")
    return asset


def names(session: Session, ids: Sequence[str]) -> list[str]:
    """In the order of `ids`, without those that there are not."""
    if not ids:
        return []
    found = dict(session.execute(select(Asset.id, Asset.name).where(Asset.id.in_(ids))).all())
    return [found[id] for id in ids if id in found]


def add(
    session: Session,
    job: Job,
    type: str,
    manifest: dict[str, Any],
    made_from: Iterable[str],
    size: int,
    name: str = "",
) -> Asset:
    """What `job` has made. If `name` is omitted, it is that of its type and job."""
    asset = Asset(
        id=str(job.id),
        type=type,
        name=name or f"{type}-{str(job.id)[:8]}",
        manifest=manifest,
        made_by=job.id,
        made_from=sorted(set(made_from)),
        size=size,
    )
    session.add(asset)
    return asset


def bring(session: Session, type: str, folder: Path, facts: Mapping[str, Any]) -> bool:
    """The row of what a person brought; True if it is new. An asset that was deleted and is brought again lives again.

    `folder` is its place in the data directory, which may not be that of the settings.
    `facts`: name, manifest, evaluation, made_from. Conflict where its files were deleted in the meantime.
    """
    id = folder.name
    values = dict(facts) | {"size": size_of(folder)}
    row = insert(Asset).values(id=id, type=type, **values)
    again = values | {"deleted_at": None, "created_at": func.clock_timestamp()}
    row = row.on_conflict_do_update(index_elements=["id"], set_=again, where=Asset.deleted_at.is_not(None))
    new = session.scalar(row.returning(Asset.id)) is not None
    if not folder.is_dir():  # asked under the row's lock, as `remove_files` does
        raise Conflict(f"{type} {id} was deleted while it was brought again: try once more", code="asset_deleted")
    return new


def sources(session: Session, asset: Asset) -> Sequence[Asset]:
    """What it was made from, deleted assets included."""
    return session.scalars(select(Asset).where(Asset.id.in_(asset.made_from)).order_by(Asset.created_at)).all()


def products(session: Session, asset: Asset) -> Sequence[Asset]:
    """What was made of it, deleted assets included."""
    return session.scalars(select(Asset).where(Asset.made_from.contains([asset.id])).order_by(Asset.created_at)).all()


def family(session: Session, asset: Asset) -> list[Asset]:
    """The assets of its type that were made from one another, deleted ones included; the oldest first."""
    found, unseen = {asset.id: asset}, [asset]
    while unseen and len(found) < MOST_RELATED:
        one = unseen.pop(0)
        for row in (*sources(session, one), *products(session, one)):
            if row.type == asset.type and row.id not in found:
                found[row.id] = row
                unseen.append(row)
    return sorted(found.values(), key=lambda row: (row.created_at, row.id))


def previews(session: Session, made_by: Mapping[str, UUID | None]) -> dict[str, UUID]:
    """{asset id: artifact id} of the newest picture that the job which made it has shown, where there is one."""
    makers = {job: id for id, job in made_by.items() if job is not None}
    pictures = select(Artifact.job_id, Artifact.id).where(
        Artifact.job_id.in_(makers), Artifact.media_type.startswith("image/")
    )
    newest = pictures.ext(distinct_on(Artifact.job_id)).order_by(Artifact.job_id, Artifact.created_at.desc())
    return {makers[job]: artifact for job, artifact in session.execute(newest)}


def delete(session: Session, asset: Asset) -> None:
    """Marks it as deleted; `remove_files` in a transaction of its own, after the commit, makes room.

    Conflict while a job that has not ended names it, while it is played, and for what comes with the project.
    """
    if asset.id == SHIPPED:
        raise Conflict("the shipped world model belongs to the package and cannot be deleted", code="asset_shipped")
    session.refresh(asset, with_for_update=True)
    if job := _job_that_needs(session, asset.id):
        message = f"asset {asset.id} is needed by job {job.id} ({job.kind}, {job.state}): cancel it, or wait"
        raise Conflict(message, code="asset_in_use")
    if _is_played(session, asset.id):
        raise Conflict(f"asset {asset.id} is being played: leave it first", code="asset_in_use")
    asset.deleted_at = session.scalar(select(func.clock_timestamp()))


def remove_files(session: Session, id: str) -> None:
    """Of an asset that is deleted: it may have been brought again since."""
    asset = session.get(Asset, id, with_for_update=True, populate_existing=True)
    if asset is not None and asset.deleted_at is not None:
        shared.forget(place(asset.type, asset.id))
        shutil.rmtree(place(asset.type, asset.id), ignore_errors=True)


def is_needed(session: Session, id: str) -> bool:
    """Whether its files must stay: something that runs or waits uses them."""
    return _job_that_needs(session, id) is not None or _is_played(session, id)


def _job_that_needs(session: Session, id: str) -> Job | None:
    """An input is an id in the config, alone or in a list; ids occur nowhere else."""
    active = select(Job).where(Job.state.not_in(TERMINAL))
    for job in session.scalars(active):
        for value in job.config.values():
            if value == id or (isinstance(value, list) and id in value):
                return job
    return None


def _is_played(session: Session, id: str) -> bool:
    playing = select(PlaySession.id).where(
        or_(PlaySession.checkpoint == id, PlaySession.world == id),
        PlaySession.ended_at.is_(None),
        PlaySession.ticket_sha256.is_(None),
    )
    return session.execute(playing.limit(1)).first() is not None


def count_sizes(session: Session) -> None:
    """Fills in the sizes that no one has counted: those of a data directory from before there were any."""
    for asset in session.scalars(living().where(Asset.size.is_(None))):
        folder = place(asset.type, asset.id)
        if folder.is_dir():
            asset.size = size_of(folder)


def sweep(session: Session) -> None:
    """Removes the files of deleted assets that a crash between the commit and the removal has left, and the copies of
    what another machine has deleted."""
    for id in left_over(session):
        remove_files(session, id)


def left_over(session: Session) -> dict[str, Path]:
    """{id of a deleted asset: its folder} of those that still have files, here or where machines share them."""
    rows = session.execute(select(Asset.type, Asset.id).where(Asset.deleted_at.is_not(None))).all()
    folders = {id: place(type, id) for type, id in rows}
    parents = {folder.parent for folder in folders.values()}
    elsewhere = {folder for parent in parents for folder in shared.published(parent)}
    return {id: folder for id, folder in folders.items() if folder.is_dir() or folder in elsewhere}


def files_of(folder: Path) -> list[tuple[str, Path]]:
    """(name in an archive, path) of every regular file; links are left out."""
    found = []
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(root, name)
            if not path.is_symlink():
                found.append((str(path.relative_to(folder)), path))
    return sorted(found)
