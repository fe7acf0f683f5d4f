"""Assets over HTTP: found, looked at with their lineage, renamed, downloaded, deleted.

Datasets and checkpoints are views of them.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, computed_field
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from zipstream import ZipStream

from terrarium.api import paging
from terrarium.api.body import body_of, described
from terrarium.api.brought import add_brought
from terrarium.api.inputs import uses
from terrarium.store import assets, shared
from terrarium.store.db import read_scope, session_scope
from terrarium.store.disk import size_of
from terrarium.store.errors import NotFound, Unavailable
from terrarium.store.places import SHIPPED, place, shipped_folder
from terrarium.store.settings import settings
from terrarium.store.tables import Asset
from terrarium.worlds.intake import sweep_drafts
from terrarium.worlds.kinds import asset_types, kinds

router = APIRouter(prefix="/v1", tags=["assets"])
NO_NUL = r"^[^\x00]*$"
Id = Annotated[str, InPath(max_length=64, pattern=r"^[0-9a-z-]+$")]
MADE = tuple(sorted({kind.makes for kind in kinds().values()} - {"evaluation"}))
Type = Annotated[str, paging.OneOf(tuple(sorted({*MADE, *asset_types()})))]
CHECKPOINTS = tuple(type for type in MADE if type != "dataset")
CheckpointKind = Annotated[str, paging.OneOf(CHECKPOINTS)]
Text = Annotated[str | None, Query(max_length=200, pattern=NO_NUL)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=NO_NUL)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=NO_NUL)]


class Brief(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    type: str
    name: str
    deleted_at: datetime | None


class Counts(BaseModel):
    """What stands for a dataset's episodes in a list: there may be thousands."""

    episodes: int
    held_out: int = Field(description="those of the split val")
    frames: int = Field(description="of all episodes")


class AssetView(Brief):
    notes: str
    tags: list[str]
    manifest: dict[str, Any]
    evaluation: dict[str, Any] | None
    made_by: UUID | None = Field(description="the job that made it; null where a person brought it")
    made_from: list[str] = Field(description="ids of the assets that the job was given")
    size: int | None = Field(description="bytes on disk")
    preview: UUID | None = Field(None, description="artifact of the newest picture that its job has shown")
    created_at: datetime

    @computed_field(description="{kind: field} of the jobs that can take it, and where")
    def uses(self) -> dict[str, str]:
        return uses(self.type, self.manifest)

    @classmethod
    def of(cls, session: Session, row: Asset) -> AssetView:
        preview = assets.previews(session, {row.id: row.made_by}).get(row.id)
        return cls.model_validate(row).model_copy(update={"preview": preview})


class AssetSummary(AssetView):
    manifest: dict[str, Any] = Field(description="without a dataset's episodes, which GET /v1/assets/{id} has")
    counts: Counts | None = Field(description="of a dataset")


class AssetPage(BaseModel):
    items: list[AssetSummary]
    next_cursor: str | None


class Lineage(BaseModel):
    made_from: list[Brief]
    made_of_it: list[Brief]


class Change(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Name | None = None
    notes: Annotated[str, StringConstraints(max_length=10_000, pattern=NO_NUL)] | None = None
    tags: Annotated[list[Tag], Field(max_length=20)] | None = None


class DatasetView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    manifest: dict[str, Any]
    created_at: datetime

    @computed_field(description="{kind: field} of the jobs that can take it, and where")
    def uses(self) -> dict[str, str]:
        return uses("dataset", self.manifest)


class DatasetSummary(DatasetView):
    manifest: dict[str, Any] = Field(description="without its episodes, which GET /v1/datasets/{id} has")
    counts: Counts


EPISODES = "jsonb_path_query_array(assets.manifest, '$.episodes[*]{}')"
SUMMARY = {  # in SQL
    "manifest": "CASE assets.type WHEN 'dataset' THEN assets.manifest - 'episodes' ELSE assets.manifest END",
    "counts": f"""CASE assets.type WHEN 'dataset' THEN json_build_object(
        'episodes', jsonb_array_length({EPISODES.format("")}),
        'held_out', jsonb_array_length({EPISODES.format(' ? (@.split == "val")')}),
        'frames', (SELECT coalesce(sum(n::bigint), 0) FROM jsonb_array_elements({EPISODES.format(".length")}) n)
    ) END""",
}


class CheckpointView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    kind: str = Field(validation_alias="type", description="its type: tokenizer, world-model, ...")
    manifest: dict[str, Any]
    evaluation: dict[str, Any] | None
    created_at: datetime

    @computed_field(description="{kind: field} of the jobs that can take it, and where")
    def uses(self) -> dict[str, str]:
        return uses(self.kind, self.manifest)


class DatasetPage(BaseModel):
    items: list[DatasetSummary]
    next_cursor: str | None


class CheckpointPage(BaseModel):
    items: list[CheckpointView]
    next_cursor: str | None


@router.get("/assets")
def list_assets(
    type: Type | None = None,
    q: Text = None,
    tag: Text = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> AssetPage:
    """Newest first; of one type, with `q` in name, notes or id, with a tag."""
    found = assets.search([type] if type else [], q, tag)
    with read_scope() as session:
        items, next_cursor = paging.page_of(
            AssetSummary, session, Asset, found, limit, cursor, **SUMMARY, preview="NULL"
        )
        previews = assets.previews(session, {item.id: item.made_by for item in items})
    for item in items:
        item.preview = previews.get(item.id)
    return AssetPage(items=items, next_cursor=next_cursor)


@router.get("/assets/{id}")
def get_asset(id: Id) -> AssetView:
    with session_scope() as session:
        return AssetView.of(session, assets.get(session, id))


@router.get("/assets/{id}/lineage")
def get_lineage(id: Id) -> Lineage:
    """What it was made from, and what was made of it; one step each way."""
    with session_scope() as session:
        asset = assets.get(session, id)
        before, after = assets.sources(session, asset), assets.products(session, asset)
        briefs = [[Brief.model_validate(row) for row in rows] for rows in (before, after)]
    return Lineage(made_from=briefs[0], made_of_it=briefs[1])


CHANGE = TypeAdapter(Change)


@router.patch("/assets/{id}", openapi_extra=described(CHANGE))
def change_asset(id: Id, change: Annotated[Change, Depends(body_of(CHANGE))]) -> AssetView:
    """A name, notes, tags: what is left out stays as it is."""
    with session_scope() as session:
        asset = assets.get(session, id)
        for field, value in change.model_dump(exclude_none=True).items():
            setattr(asset, field, sorted(set(value)) if field == "tags" else value)
        return AssetView.of(session, asset)


@router.delete("/assets/{id}", status_code=204)
def delete_asset(id: Id) -> None:
    """For good, with its files. 409 while something that runs needs it."""
    with session_scope() as session:
        asset = assets.get(session, id)
        assets.delete(session, asset)
    with session_scope() as session:
        assets.remove_files(session, id)


@router.get(
    "/assets/{id}/download",
    response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def download(id: Id) -> Response:
    """All files of it as one zip, uncompressed and streamed."""
    with session_scope() as session:
        asset = assets.get(session, id)
    folder = folder_of(asset)
    archive = ZipStream(sized=True)
    for name, path in assets.files_of(folder):
        archive.add_path(path, name)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(asset.name, safe='')}.zip",
        "Content-Length": str(len(archive)),
    }
    return StreamingResponse(archive, headers=headers, media_type="application/zip")


def folder_of(asset: Asset) -> Path:
    """NotFound where its files are gone; Unavailable where they are on other machines and cannot be fetched."""
    folder = place(asset.type, asset.id)
    try:
        here = shared.fetch(folder)
    except OSError as e:
        raise Unavailable(
            f"the files of asset {asset.id} cannot be fetched: {e.strerror}", code="files_out_of_reach"
        ) from e
    if not here:
        raise NotFound(f"the files of asset {asset.id} are gone", code="asset_files_gone")
    return folder


@router.get("/datasets")
def datasets(limit: paging.Limit = 50, cursor: paging.Cursor = None) -> DatasetPage:
    """The assets of type `dataset`, newest first."""
    found = assets.search(["dataset"])
    with read_scope() as session:
        items, next_cursor = paging.page_of(DatasetSummary, session, Asset, found, limit, cursor, **SUMMARY)
    return DatasetPage(items=items, next_cursor=next_cursor)


@router.get("/datasets/{id}")
def dataset(id: Id) -> DatasetView:
    """With its whole manifest."""
    with session_scope() as session:
        asset = assets.get(session, id)
    if asset.type != "dataset":
        raise NotFound(f"asset {id} is a {asset.type}, expected a dataset", code="asset_not_found")
    return DatasetView.model_validate(asset)


@router.get("/checkpoints")
def checkpoints(
    kind: CheckpointKind | None = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> CheckpointPage:
    """The assets that are no datasets: tokenizers, world models. `shipped` is the one that comes with the project."""
    statement = assets.search([kind] if kind else CHECKPOINTS)
    with session_scope() as session:
        rows, next_cursor = paging.page(session, Asset, statement, limit, cursor)
    return CheckpointPage(items=[CheckpointView.model_validate(row) for row in rows], next_cursor=next_cursor)


def open_library() -> None:
    """When the gateway starts: the shipped model is there and so is what was brought while no database ran, sizes are
    known, what was deleted or cut off is gone."""
    add_shipped()
    add_brought()
    sweep_drafts(settings().incoming_dir)
    with session_scope() as session:
        assets.count_sizes(session)
        assets.sweep(session)


def add_shipped(folder: Path | None = None) -> bool:
    """The row of the world model that comes with the project. Another manifest than before brings its own evaluation;
    the same keeps what has been measured here. False where nothing is shipped."""
    folder = folder or shipped_folder()
    if not (folder / "manifest.json").is_file():
        return False
    manifest = json.loads((folder / "manifest.json").read_text())
    report = folder / "evaluation.json"
    evaluation = json.loads(report.read_text()) if report.is_file() else None
    values = {"type": manifest.get("kind", "world-model"), "manifest": manifest, "evaluation": evaluation}
    new = insert(Asset).values(id=SHIPPED, name=SHIPPED, size=size_of(folder), **values)
    changed = Asset.manifest.is_distinct_from(new.excluded.manifest)
    with session_scope() as session:
        session.execute(new.on_conflict_do_update(index_elements=["id"], set_=values, where=changed))
    return True
