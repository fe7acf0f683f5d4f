"""What there is to work with: kinds of jobs, datasets, checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, computed_field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from api import paging
from api.body import described, refused, strict_json
from api.inputs import Candidate, candidates, uses
from store.db import session_scope
from store.shipped import SHIPPED, shipped_folder
from store.tables import Checkpoint, Dataset
from worlds.kinds import JobKind, kinds

router = APIRouter(prefix="/v1", tags=["catalog"])
Kind = Annotated[str, paging.OneOf(tuple(name for name, kind in kinds().items() if kind.http))]
DRAFT = TypeAdapter(dict[str, Any])
MADE = {kind.makes for kind in kinds().values() if kind.http}
CheckpointKind = Annotated[str, paging.OneOf(tuple(sorted(MADE - {"dataset", "evaluation"})))]


class JobKindView(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    config_schema: dict[str, Any] = Field(alias="schema", description="JSON schema of the config")
    title: str = Field(description="what the job does, as a button would say it")
    makes: str = Field(description="type of what it makes")
    presets: dict[str, dict[str, Any]] = Field(description="{name: config}, without the inputs")
    inputs: dict[str, list[str]] = Field(
        description="config fields that name inputs, and the types that each accepts: dataset, or a checkpoint's kind"
    )


class Candidates(BaseModel):
    inputs: dict[str, list[Candidate]] = Field(description="{field: datasets and checkpoints of its types}")


class DatasetView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    name: str
    manifest: dict[str, Any]
    created_at: datetime

    @computed_field(description="{kind: field} of the jobs that can take it, and where")
    def uses(self) -> dict[str, str]:
        return uses("dataset", self.manifest)


class CheckpointView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    kind: str = Field(description="its type: tokenizer, world-model, ...")
    manifest: dict[str, Any]
    evaluation: dict[str, Any] | None
    created_at: datetime

    @computed_field(description="{kind: field} of the jobs that can take it, and where")
    def uses(self) -> dict[str, str]:
        return uses(self.kind, self.manifest)


class DatasetPage(BaseModel):
    items: list[DatasetView]
    next_cursor: str | None


class CheckpointPage(BaseModel):
    items: list[CheckpointView]
    next_cursor: str | None


@router.get("/job-kinds")
def job_kinds() -> dict[str, JobKindView]:
    """Everything that a form for a job needs."""
    return all_kinds()


async def draft_of_config(request: Request) -> dict[str, Any]:
    """A dependency."""
    return await strict_json(request, DRAFT)


@router.post("/job-kinds/{kind}/candidates", openapi_extra=described(DRAFT))
def job_candidates(kind: Kind, draft: Annotated[dict[str, Any], Depends(draft_of_config)]) -> Candidates:
    """What each input field of a job may be, beside what the draft of its config names already."""
    try:
        config = kinds()[kind].draft(draft)
    except ValidationError as e:
        raise refused(e) from None
    with session_scope() as session:
        return Candidates(inputs=candidates(session, config))


@router.get("/datasets")
def datasets(limit: paging.Limit = 50, cursor: paging.Cursor = None) -> DatasetPage:
    """Newest first."""
    with session_scope() as session:
        rows, next_cursor = paging.page(session, Dataset, select(Dataset), limit, cursor)
    return DatasetPage(items=[DatasetView.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.get("/checkpoints")
def checkpoints(
    kind: CheckpointKind | None = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> CheckpointPage:
    """Newest first. `shipped` is the one that comes with the project."""
    statement = select(Checkpoint) if kind is None else select(Checkpoint).where(Checkpoint.kind == kind)
    with session_scope() as session:
        rows, next_cursor = paging.page(session, Checkpoint, statement, limit, cursor)
    return CheckpointPage(items=[CheckpointView.model_validate(row) for row in rows], next_cursor=next_cursor)


@lru_cache
def all_kinds() -> dict[str, JobKindView]:
    return {name: _view(kind) for name, kind in kinds().items() if kind.http}


def _view(kind: JobKind) -> JobKindView:
    presets = {name: asdict(make()) for name, make in kind.presets.items()}
    return JobKindView(
        schema=kind.schema,
        title=kind.title,
        makes=kind.makes,
        presets={
            name: {field: value for field, value in config.items() if field not in kind.inputs}
            for name, config in presets.items()
        },
        inputs={field: list(slot.types) for field, slot in kind.inputs.items()},
    )


def add_shipped(folder: Path | None = None) -> bool:
    """The row of the checkpoint that comes with the project. Another manifest than before brings its own evaluation;
    the same keeps what has been measured here. False where nothing is shipped."""
    folder = folder or shipped_folder()
    if not (folder / "manifest.json").is_file():
        return False
    manifest = json.loads((folder / "manifest.json").read_text())
    report = folder / "evaluation.json"
    evaluation = json.loads(report.read_text()) if report.is_file() else None
    kind = manifest.get("kind", "world-model")
    values = {"name": SHIPPED, "kind": kind, "manifest": manifest, "evaluation": evaluation}
    new = insert(Checkpoint).values(id=SHIPPED, **values)
    changed = Checkpoint.manifest.is_distinct_from(new.excluded.manifest)
    with session_scope() as session:
        session.execute(new.on_conflict_do_update(index_elements=["id"], set_=values, where=changed))
    return True
