"""The dispatcher's side of jobs (workers/dispatcher.py), in the caller's transaction: takes them from workers that are
gone, queues again what is due, empties the outbox.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from terrarium.store import line
from terrarium.store.jobs import lose
from terrarium.store.moves import HELD, emit, requeue
from terrarium.store.tables import Job, Outbox, Run

WORKER_LOCKS = 0x7E44A03  # any constant of our own; a worker holds (this, hash of its name) as long as it lives
_RUN_OF_JOB = (Run.job_id == Job.id) & (Run.fence == Job.fence)


def expire_leases(session: Session) -> list[Job]:
    """Takes jobs away from workers that have not renewed their lease in time."""
    expired = Job.lease_until < func.clock_timestamp()
    rows = session.execute(
        select(Job.id, Job.fence).where(Job.state.in_(HELD), expired).with_for_update(skip_locked=True)
    ).all()
    evidence = {"reason": "the worker stopped renewing its lease"}
    return [lose(session, job_id, fence, evidence, (expired,)) for job_id, fence in rows]


def absent_workers(session: Session) -> set[str]:
    """The workers that hold jobs and whose lock (workers/presence.py) is free: killed, or cut off for a moment.

    Until the caller's transaction ends, none of them can take its lock again.
    """
    holders = session.scalars(select(Run.worker).join(Job, _RUN_OF_JOB).where(Job.state.in_(HELD)).distinct()).all()
    free = func.pg_try_advisory_xact_lock
    return {name for name in holders if session.scalar(select(free(WORKER_LOCKS, func.hashtext(name))))}


def lose_jobs_of(session: Session, worker: str) -> list[Job]:
    """Takes its jobs away from a worker that is gone."""
    held = select(Job.id, Job.fence).join(Run, _RUN_OF_JOB).where(Job.state.in_(HELD), Run.worker == worker)
    rows = session.execute(held.with_for_update(of=Job, skip_locked=True)).all()
    return [lose(session, job_id, fence, {"reason": f"its worker {worker} ended"}) for job_id, fence in rows]


def queue_due_retries(session: Session) -> list[Job]:
    """retry_wait -> queued for those whose time has come."""
    due = (Job.state == "retry_wait", Job.retry_at <= func.clock_timestamp())
    ids = session.scalars(select(Job.id).where(*due).with_for_update(skip_locked=True)).all()
    moved = (requeue(session, job_id, due, reason="retry", finished_at=None) for job_id in ids)
    return [job for job in moved if job is not None]


def look_again(session: Session, queues: Collection[str], processes: int = 1) -> None:
    """Has another worker look at these queues: the caller, with room for so many processes, has a message that it
    cannot follow."""
    first = session.scalar(line.in_order(queues, processes).limit(1))
    if first is not None:
        emit(session, first)


def take_outbox(session: Session, limit: int = 500) -> tuple[list[tuple[UUID, str]], bool]:
    """The oldest outbox rows, deleted here, as (job id, queue) of those that are still queued, and whether there may be
    more. Publish them, then commit."""
    oldest = select(Outbox.id).order_by(Outbox.id).limit(limit).with_for_update(skip_locked=True)
    take = delete(Outbox).where(Outbox.id.in_(oldest)).returning(Outbox.id, Outbox.job_id)
    taken = dict(session.execute(take, execution_options={"synchronize_session": False}).all())
    statement = select(Job.id, Job.queue).where(Job.id.in_(taken.values()), Job.state == "queued")
    queues = dict(session.execute(statement).all()) if taken else {}
    return [(id, queues[id]) for _, id in sorted(taken.items()) if id in queues], len(taken) == limit
