"""Jobs over HTTP: list, look, cancel, retry; what they have written so far. submit.py makes them."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Len
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.api import paging
from terrarium.api.artifacts import ArtifactView, read_artifact
from terrarium.api.catalog import Kind
from terrarium.api.room import check_room
from terrarium.store import jobs, logs, moves, plans
from terrarium.store.db import read_scope, session_scope
from terrarium.store.errors import Conflict, NotFound
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Job, Metric

log = logging.getLogger("terrarium.gateway")
router = APIRouter(prefix="/v1", tags=["jobs"])
State = Literal[
    "waiting", "queued", "running", "succeeded", "failed", "cancelling", "cancelled", "retry_wait", "quarantined"
]
Point = Annotated[list[int | float], Len(2, 2)]
LOG_TAIL = 256 * 1024


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
    processes: int = Field(description="that share its training, started by torchrun")
    after: list[UUID] = Field(description="jobs that must have succeeded before it starts")
    progress: Annotated[Progress | None, BeforeValidator(lambda row: row or None)]
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
        return cls.model_validate(job)


class JobPage(BaseModel):
    items: list[JobView]
    next_cursor: str | None


class Series(BaseModel):
    series: dict[str, list[Point]] = Field(description="{key: [[step, value], ...]}")
    times: list[Point] = Field(description="[[step, seconds since the job began], ...]")


class ArtifactList(BaseModel):
    items: list[ArtifactView]


@router.get("/jobs", response_model=JobPage)
def list_jobs(
    state: State | None = None,
    kind: Kind | None = None,
    parent: UUID | None = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> Response:
    """Newest first. `parent`: only the jobs that try this one again or follow it."""
    statement = select(Job)
    if state is not None:
        statement = statement.where(Job.state == state)
    if kind is not None:
        statement = statement.where(Job.kind == kind)
    if parent is not None:
        statement = statement.where(Job.parent_id == parent)
    with read_scope() as session:
        items, next_cursor = paging.page_of(JobView, session, Job, statement, limit, cursor)
    page = JobPage(items=items, next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


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
        if job.state not in moves.AT_REST:
            raise Conflict(f"job {id} is {job.state}: cancel it first, or wait for its end", code="job_not_ended")
        check_room(session, job.config)
        if job.plan_id is not None:
            again = plans.retry(session, job)
        else:
            again = jobs.submit(
                session, job.config, job.queue, parent_id=job.id, name=job.name, processes=job.processes
            )
        with logs.about(job=again.id):
            log.info("job %s: submitted, tries %s again", again.id, job.id)
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
