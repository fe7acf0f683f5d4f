"""The lines before the workers: the higher priority first, then the older job. The caller's transaction throughout.

A worker takes the first of all queues that it serves for which it has enough processes. A paused queue is passed over
until it is resumed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from terrarium.store.tables import Job, Outbox, QueuePause

LOWEST, HIGHEST = -10, 10  # priorities
OF_THE_SYSTEM = -5  # of jobs that nobody asked for, such as an evaluation after a training
ORDER = (Job.priority.desc(), Job.created_at, Job.id)
_PAUSED = select(QueuePause.queue)


def in_order(queues: Collection[str], processes: int) -> Select[UUID]:
    """Ids of the queued jobs that a worker of `queues` may take, with room for so many processes, first the one that it
    takes first."""
    ready = (Job.state == "queued", Job.queue.in_(queues), Job.queue.not_in(_PAUSED), Job.processes <= processes)
    return select(Job.id).where(*ready).order_by(*ORDER)


def lines(session: Session, most: int) -> dict[str, Sequence[Job]]:
    """{queue: the first `most` of its queued jobs}, without queues that are empty."""
    number = func.row_number().over(partition_by=Job.queue, order_by=ORDER).label("number")
    numbered = select(Job.id, number).where(Job.state == "queued").subquery()
    first = select(Job).join(numbered, numbered.c.id == Job.id).where(numbered.c.number <= most)
    found: dict[str, list[Job]] = {}
    for job in session.scalars(first.order_by(Job.queue, *ORDER)):
        found.setdefault(job.queue, []).append(job)
    return dict(found)


def position(session: Session, job: Job) -> int:
    """1 for the first in line in its queue. `job` is queued."""
    before = (Job.priority > job.priority) | (
        (Job.priority == job.priority)
        & ((Job.created_at < job.created_at) | ((Job.created_at == job.created_at) & (Job.id < job.id)))
    )
    ahead = select(func.count()).select_from(Job).where(Job.state == "queued", Job.queue == job.queue, before)
    return (session.scalar(ahead) or 0) + 1


def lengths(session: Session) -> dict[str, int]:
    """{queue: number of jobs queued in it}, without those that are empty."""
    statement = select(Job.queue, func.count()).where(Job.state == "queued").group_by(Job.queue)
    return dict(session.execute(statement).all())


def unannounced(session: Session, older_than_s: float) -> dict[str, int]:
    """{queue: number of its jobs that have been queued for longer than that and are not in the outbox}, without paused
    queues. Redis should hold as many messages."""
    old = func.clock_timestamp() - timedelta(seconds=older_than_s)
    statement = select(Job.queue, func.count()).where(
        Job.state == "queued",
        Job.queued_at < old,
        Job.queue.not_in(_PAUSED),
        ~select(Outbox.id).where(Outbox.job_id == Job.id).exists(),
    )
    return dict(session.execute(statement.group_by(Job.queue)).all())


def pause(session: Session, queue: str) -> None:
    """No worker takes a job of it any more; those that run go on. Safe to repeat."""
    session.execute(insert(QueuePause).values(queue=queue).on_conflict_do_nothing())


def resume(session: Session, queue: str) -> None:
    """The dispatcher finds within seconds that its jobs have no messages."""
    session.execute(delete(QueuePause).where(QueuePause.queue == queue))


def pauses(session: Session) -> dict[str, datetime]:
    """{paused queue: since when}"""
    return {row.queue: row.paused_at for row in session.scalars(select(QueuePause))}
