"""Jobs over HTTP: submit, list, look, cancel, retry; what they have written so far."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Len
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.api import paging
from terrarium.api.access import check_priority, identity_of
from terrarium.api.artifacts import ArtifactView, read_artifact
from terrarium.api.catalog import Kind
from terrarium.api.inputs import check_inputs, default_name
from terrarium.api.job_body import job_config
from terrarium.api.once import Key, once
from terrarium.api.room import check_room
from terrarium.store import jobs, line, plans
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict, NotFound
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Job, Metric
from terrarium.worlds.kinds import MAX_NAME, kinds

router = APIRouter(prefix="/v1", tags=["jobs"])
State = Literal[
    "waiting", "queued", "running", "succeeded", "failed", "cancelling", "cancelled", "retry_wait", "quarantined"
]
Point = Annotated[list[int | float], Len(2, 2)]
LOG_TAIL = 256 * 1024
Priority = Annotated[
    int,
    Query(ge=line.LOWEST, le=line.HIGHEST, description="the higher starts first; more than 0 takes the scope admin"),
]
After = Annotated[list[UUID], Query(max_length=50, description="jobs that must have succeeded before it starts")]
Name = Annotated[str | None, Query(min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00]*$")]


class Progress(BaseModel):
    step: int
    total: int
    phase: str = ""
    eta_s: float | None = Field(None, description="seconds left, from the pace of the last half minute")
    rate: float | None = Field(None, description="steps a second")


class JobError(BaseModel):
    code: str
    message: str
    evidence: dict[str, Any] | None = Field(None, description="exit code, signal, last lines of the log")


class JobView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    kind: str
    name: str = Field(description="what was given, or made of the kind, its inputs and the preset")
    state: State
    config: dict[str, Any]
    queue: str
    priority: int = Field(description="of those in a queue the highest starts first, of several the oldest")
    after: list[UUID] = Field(description="jobs that must have succeeded before it starts")
    progress: Progress | None
    result: dict[str, Any] | None
    error: JobError | None
    attempt: int
    parent_id: UUID | None = Field(description="the job that this one tries again, or follows if it is of another kind")
    plan_id: UUID | None = Field(description="the plan that it is a step of")
    step: str | None = Field(description="name of that step")
    last_seq: int = Field(description="number of the newest event")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> JobView:
        shown = {name: getattr(job, name) for name in cls.model_fields}
        return cls.model_validate(shown | {"progress": job.progress or None})


class JobPage(BaseModel):
    items: list[JobView]
    next_cursor: str | None


class Series(BaseModel):
    series: dict[str, list[Point]] = Field(description="{key: [[step, value], ...]}")
    times: list[Point] = Field(description="[[step, seconds since the job began], ...]")


class ArtifactList(BaseModel):
    items: list[ArtifactView]


@router.post("/jobs", status_code=201, responses={200: {"description": "That key's job", "model": JobView}})
def submit(
    config: Annotated[Any, Depends(job_config)],
    request: Request,
    response: Response,
    key: Key = None,
    name: Name = None,
    priority: Priority = 0,
    after: After = [],  # noqa: B006
) -> JobView:
    """Queue a job. With an `Idempotency-Key`, the same body again gives the same job, and no second one. If `name` is
    omitted, it is made of the kind, its inputs and the preset."""
    body = json.loads(json.dumps(asdict(config)))
    check_priority(identity_of(request), priority)

    def make(session: Session) -> Job:
        check_inputs(session, config)
        check_room(session, body)
        check_after(session, after)
        job_name = name or default_name(session, config)
        queue = kinds()[config.kind].queue
        return jobs.submit(session, body, queue, name=job_name, priority=priority, after=after)

    view, new = once(key, body, make, lambda _, job: JobView.of(job))
    if not new:
        response.status_code = 200
        return view
    response.headers["Location"] = f"/v1/jobs/{view.id}"
    return view


@router.get("/jobs")
def list_jobs(
    state: State | None = None,
    kind: Kind | None = None,
    parent: UUID | None = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> JobPage:
    """Newest first. `parent`: only the jobs that try this one again or follow it."""
    statement = select(Job)
    if state is not None:
        statement = statement.where(Job.state == state)
    if kind is not None:
        statement = statement.where(Job.kind == kind)
    if parent is not None:
        statement = statement.where(Job.parent_id == parent)
    with session_scope() as session:
        rows, next_cursor = paging.page(session, Job, statement, limit, cursor)
    return JobPage(items=[JobView.of(job) for job in rows], next_cursor=next_cursor)


@router.get("/jobs/{id}")
def get_job(id: UUID) -> JobView:
    with session_scope() as session:
        return JobView.of(existing(session, id))


@router.post("/jobs/{id}/cancel", status_code=202)
def cancel(id: UUID) -> JobView:
    """Ask a job to end. Safe to repeat; a job that has ended stays as it is."""
    with session_scope() as session:
        job = jobs.cancel(session, id)
        if job is None:
            raise missing(id)
        return JobView.of(job)


@router.post("/jobs/{id}/retry", status_code=201)
def retry(id: UUID, response: Response) -> JobView:
    """A new job with the same config, where the first has ended. In a plan, the steps that need what it makes are tried
    again, too, once it is made."""
    with session_scope() as session:
        job = existing(session, id)
        if job.state not in jobs.AT_REST:
            raise Conflict(f"job {id} is {job.state}: cancel it first, or wait for its end", code="job_not_ended")
        check_room(session, job.config)
        if job.plan_id is not None:
            again = plans.retry(session, job)
        else:
            again = jobs.submit(session, job.config, job.queue, parent_id=job.id, name=job.name)
        response.headers["Location"] = f"/v1/jobs/{again.id}"
        return JobView.of(again)


@router.post("/jobs/{id}/release", status_code=202)
def release(id: UUID) -> JobView:
    """Let a quarantined job go on from its newest training state, once what killed its runners is mended."""
    with session_scope() as session:
        job = jobs.release(session, id)
        if job is None:
            state = existing(session, id).state
            raise Conflict(f"job {id} is {state}, expected quarantined", code="job_not_quarantined")
        return JobView.of(job)


@router.get("/jobs/{id}/metrics")
def get_metrics(id: UUID) -> Series:
    """Every scalar that the job has reported, in the order of its steps."""
    statement = select(Metric.key, Metric.step, Metric.value, Metric.created_at).where(Metric.job_id == id)
    with session_scope() as session:
        began = existing(session, id).started_at
        rows = session.execute(statement.order_by(Metric.key, Metric.step)).all()
    series: dict[str, list[Point]] = {}
    times: dict[int, float] = {}
    for key, step, value, at in rows:
        series.setdefault(key, []).append([step, value])
        if at is not None and began is not None:
            times[step] = round((at - began).total_seconds(), 3)
    return Series(series=series, times=[[step, at] for step, at in sorted(times.items())])


@router.get("/jobs/{id}/artifacts")
def get_artifacts(id: UUID) -> ArtifactList:
    """Previews, reports and the log, oldest first."""
    statement = select(Artifact).where(Artifact.job_id == id).order_by(Artifact.created_at, Artifact.id)
    with session_scope() as session:
        existing(session, id)
        rows = session.scalars(statement).all()
    return ArtifactList(items=[ArtifactView.model_validate(row) for row in rows])


@router.get("/jobs/{id}/logs", response_class=PlainTextResponse)
def get_logs(id: UUID) -> PlainTextResponse:
    """The tail of the runner's log: of the running job from this machine's disk, of an ended one from its artifact."""
    statement = select(Artifact).where(Artifact.job_id == id, Artifact.name == "runner.log")
    with session_scope() as session:
        job = existing(session, id)
        kept = session.scalars(statement.order_by(Artifact.created_at.desc())).first()
    if kept is not None:
        data = read_artifact(kept, max(0, kept.size - LOG_TAIL), kept.size)
    else:
        data = _tail(settings().runs_dir / str(id) / str(job.fence) / "runner.log")
    return PlainTextResponse(data.decode(errors="replace"))


def check_after(session: Session, after: Sequence[UUID]) -> None:
    """NotFound, or Conflict for a job that will not succeed any more. None of them ends before the transaction."""
    states = jobs.states_of(session, after) if after else {}
    for id in after:
        if id not in states:
            raise missing(id)
        if states[id] in ("failed", "cancelled"):
            raise Conflict(f"after: job {id} is {states[id]}: retry it first", code="earlier_not_made")


def existing(session: Session, id: UUID) -> Job:
    job = session.get(Job, id)
    if job is None:
        raise missing(id)
    return job


def missing(id: UUID) -> NotFound:
    return NotFound(f"there is no job {id}", code="job_not_found")


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL))
            return file.read()
    except FileNotFoundError:
        return b""
