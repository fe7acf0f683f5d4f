"""How a job moves: one conditional UPDATE, an event row, and what follows from it, in the caller's transaction.

    waiting -> queued (those in its `after` have succeeded) | cancelled
    queued -> running | cancelled
    running -> succeeded | failed | cancelling | retry_wait | queued (drain, lease lost) | quarantined
    retry_wait -> queued | cancelled
    cancelling -> cancelled | succeeded (the commit won) | failed
    quarantined -> queued (an operator releases it)

A job waits for those in its `after`: a step of a plan (store/plans.py) for the steps that make what it takes, any other
for those that its submitter named. Their ends move it, in the same transaction: queued with the last that succeeds,
cancelled with the first that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, any_, func, literal, select, update
from sqlalchemy.orm import Session

from terrarium.store import events, webhooks
from terrarium.store.events import Event
from terrarium.store.tables import Job, Outbox

EDGES: dict[str, frozenset[str]] = {
    "waiting": frozenset({"queued", "cancelled"}),
    "queued": frozenset({"running", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "cancelling", "retry_wait", "queued", "quarantined"}),
    "retry_wait": frozenset({"queued", "cancelled"}),
    "cancelling": frozenset({"cancelled", "succeeded", "failed"}),
    "quarantined": frozenset({"queued"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
STATES = tuple(EDGES)
TERMINAL = frozenset(state for state, after in EDGES.items() if not after)
AT_REST = TERMINAL | {"quarantined"}  # nothing more happens by itself
HELD = ("running", "cancelling")  # a worker has it

OUTBOX_CHANNEL = "outbox"


def move(
    session: Session,
    job_id: UUID,
    to: ColumnElement[str],
    where: Sequence[ColumnElement[bool]],
    reason: str | None = None,
    **values: Any,
) -> Job | None:
    """To the state `to`, if `where` holds. `values`: other columns; `reason`: for the event. None: it did not hold."""
    statement = (
        update(Job)
        .where(Job.id == job_id, *where)
        .values(state=to, last_seq=Job.last_seq + 1, **values)
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job = session.execute(statement).scalar_one_or_none()
    if job is not None:
        events.append(session, job.id, job.last_seq, [state_event(job.state, job.error, reason)])
        if job.state in AT_REST:
            webhooks.jobs_ended(session, [job])
        if job.state in TERMINAL:
            go_on(session, job)
    return job


def requeue(
    session: Session,
    job_id: UUID,
    where: Sequence[ColumnElement[bool]],
    reason: str,
    to: ColumnElement[str] | None = None,
    **values: Any,
) -> Job | None:
    """Back to queued with an outbox row, or to where `to` sends it."""
    values = {"error": None, "lease_until": None, "retry_at": None} | values
    target = literal("queued") if to is None else to
    job = move(session, job_id, target, where, reason, queued_at=func.clock_timestamp(), **values)
    if job is not None and job.state == "queued":
        emit(session, job.id)
    return job


def emit(session: Session, job_id: UUID) -> None:
    """Asks the dispatcher to publish the job's id (again): twice is harmless, only one claim wins."""
    session.add(Outbox(job_id=job_id))
    session.execute(select(func.pg_notify(OUTBOX_CHANNEL, "")))


def state_event(state: str, error: dict[str, Any] | None = None, reason: str | None = None) -> Event:
    data: dict[str, Any] = {"state": state}
    if error is not None:
        data["error"] = error
    if reason is not None:
        data["reason"] = reason
    return Event("state", data)


# ---- those that wait


def go_on(session: Session, ended: Job) -> None:
    """Moves the jobs that wait for one that has ended. Their rows are locked first, so of several that end at once the
    last sees the others' ends."""
    for job in _lock_waiting(session, ended):
        if ended.id not in job.after or job.state != "waiting":
            continue
        states = session.scalars(select(Job.state).where(Job.id.in_(job.after))).all()
        if all(state == "succeeded" for state in states):
            which = f"step {ended.step}" if _same_plan(job, ended) else f"job {ended.id}"
            requeue(session, job.id, (Job.state == "waiting",), reason=f"{which} succeeded")
        elif any(state in ("failed", "cancelled") for state in states):
            move(
                session,
                job.id,
                literal("cancelled"),
                (Job.state == "waiting",),
                error=_not_made(job, ended),
                finished_at=func.clock_timestamp(),
            )


def _lock_waiting(session: Session, ended: Job) -> Sequence[Job]:
    """The jobs that wait for it, and all that wait for those: every transaction locks them in the same order."""
    waits = Job.state == "waiting"
    behind = select(Job.id).where(waits, Job.after.contains([ended.id])).cte("behind", recursive=True)
    behind = behind.union(select(Job.id).where(waits, behind.c.id == any_(Job.after)))
    locked = select(Job).where(waits, Job.id.in_(select(behind.c.id))).order_by(Job.created_at, Job.id)
    return session.scalars(locked.with_for_update().execution_options(populate_existing=True)).all()


def _same_plan(job: Job, other: Job) -> bool:
    return job.plan_id is not None and job.plan_id == other.plan_id


def _not_made(job: Job, ended: Job) -> dict[str, Any]:
    """Why `job` never starts."""
    if _same_plan(job, ended):
        message = f"step {ended.step} of its plan {ended.state} (job {ended.id})"
        return {"code": "step_not_made", "message": message}
    message = f"job {ended.id} ({ended.name}), after which it was to start, {ended.state}"
    return {"code": "earlier_not_made", "message": message}
