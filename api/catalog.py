"""Kinds of jobs, and what each of their inputs may be."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from inspect import getdoc
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from terrarium.api import paging
from terrarium.api.body import described, refused, strict_json
from terrarium.api.inputs import Candidate, candidates
from terrarium.store.db import session_scope
from terrarium.worlds.kinds import JobKind, kinds

router = APIRouter(prefix="/v1", tags=["catalog"])
Kind = Annotated[str, paging.OneOf(tuple(name for name, kind in kinds().items() if kind.http))]
QUEUES = tuple(sorted({kind.queue for kind in kinds().values()}))
Queue = Annotated[str, paging.OneOf(QUEUES)]
DRAFT = TypeAdapter(dict[str, Any])


class JobKindView(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    config_schema: dict[str, Any] = Field(alias="schema", description="JSON schema of the config")
    title: str = Field(description="what the job does, as a button would say it")
    makes: str = Field(description="type of what it makes")
    several: bool = Field(description="whether several processes may share a job of it")
    presets: dict[str, dict[str, Any]] = Field(description="{name: config}, without the inputs")
    preset_help: dict[str, str] = Field(description="{name: what the preset is for}, in a sentence")
    inputs: dict[str, list[str]] = Field(
        description="config fields that name inputs, and the types that each accepts: dataset, or a checkpoint's kind"
    )


class Candidates(BaseModel):
    inputs: dict[str, list[Candidate]] = Field(description="{field: datasets and checkpoints of its types}")


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


@lru_cache
def all_kinds() -> dict[str, JobKindView]:
    return {name: _view(kind) for name, kind in kinds().items() if kind.http}


def _view(kind: JobKind) -> JobKindView:
    presets = {name: asdict(make()) for name, make in kind.presets.items()}
    return JobKindView(
        schema=kind.schema,
        title=kind.title,
        makes=kind.makes,
        several=kind.several,
        presets={
            name: {field: value for field, value in config.items() if field not in kind.inputs}
            for name, config in presets.items()
        },
        preset_help={name: getdoc(make) or "" for name, make in kind.presets.items()},
        inputs={field: list(slot.types) for field, slot in kind.inputs.items()},
    )
