"""Jobs that wait are changed; many are cancelled at once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.api.access import check_priority, identity_of
from terrarium.api.body import body_of, described
from terrarium.api.catalog import Kind, Queue
from terrarium.api.inputs import check_inputs
from terrarium.api.job_body import config_of
from terrarium.api.jobs import JobView, existing
from terrarium.api.room import check_room
from terrarium.store import jobs, line
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict, InvalidInput
from terrarium.store.tables import Job
from terrarium.worlds.kinds import MAX_NAME

router = APIRouter(prefix="/v1", tags=["jobs"])
AT_ONCE = 500  # jobs that a transaction cancels


class JobChange(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00]*$")] | None = None
    priority: Annotated[int, Field(ge=line.LOWEST, le=line.HIGHEST)] | None = None
    config: dict[str, Any] | None = Field(None, description="the fields to change; the others stay as they are")


class Cancellation(BaseModel):
    """Jobs to cancel: those that are named, or all that fit what is given."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[UUID], Field(max_length=1000)] | None = None
    state: Literal["waiting", "queued", "running", "retry_wait"] | None = None
    kind: Kind | None = None
    queue: Queue | None = None


class Cancelled(BaseModel):
    cancelled: int = Field(description="ended at once")
    cancelling: int = Field(description="asked to stop")


CHANGE, CANCELLATION = TypeAdapter(JobChange), TypeAdapter(Cancellation)


@router.patch("/jobs/{id}", openapi_extra=described(CHANGE))
def change(id: UUID, body: Annotated[JobChange, Depends(body_of(CHANGE))], request: Request) -> JobView:
    """Change a job that has not started; 409 where it has. Its config can be changed until it has run once, and not in
    a plan, whose steps are checked against each other."""
    with session_scope() as session:
        job = existing(session, id)
        values: dict[str, Any] = {name: value for name, value in body if value is not None}
        if job.state not in ("waiting", "queued") or (body.config is not None and job.fence):
            raise _started(job)
        if body.priority is not None and body.priority > job.priority:
            check_priority(identity_of(request), body.priority)
        if body.config is not None:
            values["config"] = _changed_config(session, job, body.config)
        changed = jobs.edit(session, id, **values) if values else job
        if changed is None:
            session.refresh(job)
            raise _started(job)
        return JobView.of(changed)


@router.post("/cancellations", openapi_extra=described(CANCELLATION))
def cancel_many(body: Annotated[Cancellation, Depends(body_of(CANCELLATION))]) -> Cancelled:
    """Ask many jobs to end, and say how many did. Those that have ended stay as they are."""
    given = {name: value for name, value in body if value is not None}
    if not given:
        raise InvalidInput(f"expected some of {', '.join(Cancellation.model_fields)}")
    chosen = [Job.state.in_(("waiting", "queued", "running", "retry_wait"))]
    if (ids := given.pop("ids", None)) is not None:
        chosen.append(Job.id.in_(ids))
    chosen += [getattr(Job, name) == value for name, value in given.items()]
    with session_scope() as session:
        found = session.scalars(select(Job.id).where(*chosen).order_by(Job.created_at, Job.id)).all()
    states: Counter[str] = Counter()
    for at in range(0, len(found), AT_ONCE):
        with session_scope() as session:
            states.update(jobs.cancel_all(session, found[at : at + AT_ONCE]))
    return Cancelled(cancelled=states["cancelled"], cancelling=states["cancelling"])


def _changed_config(session: Session, job: Job, change: dict[str, Any]) -> dict[str, Any]:
    """As JSON, checked as that of a new job."""
    if job.plan_id is not None:
        raise Conflict(
            f"job {job.id} is a step of plan {job.plan_id}: cancel it and submit another", code="job_in_plan"
        )
    if change.get("kind", job.kind) != job.kind:
        raise InvalidInput(f"kind: {change['kind']!r}, expected {job.kind!r}: submit another job instead")
    config = config_of(job.config | change)
    check_inputs(session, config)
    body: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    check_room(session, body)
    return body


def _started(job: Job) -> Conflict:
    run = f" and has run {job.fence} times" if job.fence else ""
    return Conflict(f"job {job.id} is {job.state}{run}: only what has not started can be changed", code="job_started")
