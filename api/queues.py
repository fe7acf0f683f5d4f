"""The queues and who serves them: what runs, what is in line and when it starts, pauses, workers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrarium.api.catalog import QUEUES, Queue
from terrarium.api.jobs import existing
from terrarium.api.outlook import Desk, Durations, now_of, starts
from terrarium.store import line, moves
from terrarium.store.census import MISSED
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict
from terrarium.store.settings import settings
from terrarium.store.tables import Job, Run, Worker

router = APIRouter(prefix="/v1", tags=["queues"])
SHOWN = 100  # of the jobs in a line, with the times when they start
Name = Annotated[Queue, Path(description="a queue of GET /v1/queues")]


class Place(BaseModel):
    id: UUID
    queue: str
    position: int = Field(description="1 is the next to start")
    starts_in_s: float | None = Field(description="at the latest; null: nothing is known of what is ahead")
    waits_for: str | None = Field(default=None, description="what must change before it can start at all")


class QueueView(BaseModel):
    name: str
    paused_at: datetime | None
    queued: int
    running: list[UUID]
    first: list[Place] = Field(description=f"the first {SHOWN} in line")


class QueueList(BaseModel):
    items: list[QueueView]


class JobBrief(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    kind: str
    name: str
    queue: str


class WorkerView(BaseModel):
    name: str
    host: str
    queues: list[str]
    processes: int = Field(description="the most that a job may have there")
    alive: bool = Field(description="it was seen within the last heartbeats")
    memory_bytes: int | None = Field(description="resident, of the worker and its runner")
    disk_free_bytes: int | None = Field(description="of its data directory")
    started_at: datetime
    seen_at: datetime
    job: JobBrief | None = Field(description="what it runs")


class WorkerList(BaseModel):
    items: list[WorkerView]


@router.get("/queues")
def list_queues() -> QueueList:
    """What runs and what is in line, in the order in which it starts."""
    with session_scope() as session:
        return QueueList(items=_queues(session))


@router.post("/queues/{name}/pause")
def pause(name: Name) -> QueueView:
    """No job of it starts until it is resumed; those that run go on. Safe to repeat."""
    with session_scope() as session:
        line.pause(session, name)
        return _queue(session, name)


@router.post("/queues/{name}/resume")
def resume(name: Name) -> QueueView:
    """Its jobs start again, within seconds."""
    with session_scope() as session:
        line.resume(session, name)
        return _queue(session, name)


@router.get("/jobs/{id}/place")
def get_place(id: UUID) -> Place:
    """Where a queued job is in line; 409 for one that is not queued."""
    with session_scope() as session:
        job = existing(session, id)
        if job.state != "queued":
            raise Conflict(f"job {id} is {job.state}, expected queued", code="job_not_queued")
        place = next((place for place in _queue(session, job.queue).first if place.id == id), None)
        place = place or Place(id=id, queue=job.queue, position=line.position(session, job), starts_in_s=None)
        place.waits_for = _lacks(session, job)
        return place


def _lacks(session: Session, job: Job) -> str | None:
    """What no worker has that the job needs; None where one has it, and where that is not known, without workers."""
    rooms = [row.processes for row in _alive(session) if job.queue in row.queues]
    if not rooms or job.processes <= max(rooms):
        return None
    return f"a worker with {job.processes} processes (TERRARIUM_PROCESSES): the largest of {job.queue} has {max(rooms)}"


@router.get("/workers")
def list_workers() -> WorkerList:
    """Those that serve queues, and for a day those that went without a word."""
    with session_scope() as session:
        running = _running(session)
        gone_before = now_of(session) - timedelta(seconds=MISSED * settings().heartbeat_s)
        rows = session.scalars(select(Worker).order_by(Worker.started_at, Worker.name)).all()
        return WorkerList(items=[_worker(row, running.get(row.name), gone_before) for row in rows])


def _worker(row: Worker, job: Job | None, gone_before: datetime) -> WorkerView:
    brief = None if job is None else JobBrief.model_validate(job)
    facts = {name: getattr(row, name) for name in WorkerView.model_fields if name not in ("alive", "job")}
    return WorkerView(**facts, alive=row.seen_at > gone_before, job=brief)


def _queue(session: Session, name: str) -> QueueView:
    return next(queue for queue in _queues(session) if queue.name == name)


def _queues(session: Session) -> list[QueueView]:
    running, lines, lengths = _running(session), line.lines(session, SHOWN), line.lengths(session)
    pauses, when = line.pauses(session), _starts(session, running, lines)
    return [
        QueueView(
            name=name,
            paused_at=pauses.get(name),
            queued=lengths.get(name, 0),
            running=[job.id for job in running.values() if job.queue == name],
            first=[
                Place(id=job.id, queue=name, position=i, starts_in_s=when.get(job.id))
                for i, job in enumerate(lines.get(name, ()), 1)
            ],
        )
        for name in sorted({*QUEUES, *lengths})
    ]


def _running(session: Session) -> dict[str, Job]:
    """{worker: the job that it runs}"""
    held = (Job.state.in_(moves.HELD), Run.fence == Job.fence)
    rows = session.execute(select(Run.worker, Job).join(Job, Run.job_id == Job.id).where(*held))
    return dict(rows.all())


def _starts(session: Session, running: Mapping[str, Job], lines: Mapping[str, Sequence[Job]]) -> dict[UUID, float]:
    """{job: in how many seconds it starts}, of those of which that is known."""
    now, paused = now_of(session), line.pauses(session)
    first = [job for queue, some in lines.items() if queue not in paused for job in some]
    first.sort(key=lambda job: (-job.priority, job.created_at, job.id))
    durations = Durations(session, {job.kind for job in (*first, *running.values())} if first else ())
    desks = [
        Desk(
            frozenset(worker.queues),
            worker.processes,
            durations.left(running[worker.name], now) if worker.name in running else 0.0,
        )
        for worker in _alive(session)
    ]
    wanted = [(job.queue, job.processes, durations.of(job)) for job in first]
    known = zip(first, starts(desks, wanted), strict=True)
    return {job.id: round(seconds, 1) for job, seconds in known if math.isfinite(seconds)}


def _alive(session: Session) -> Sequence[Worker]:
    """Workers that were seen within the last heartbeats."""
    since = func.clock_timestamp() - timedelta(seconds=MISSED * settings().heartbeat_s)
    return session.scalars(select(Worker).where(Worker.seen_at > since)).all()
