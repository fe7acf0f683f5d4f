"""The life of a job. Every change is one conditional UPDATE and an event row in the caller's transaction.

    waiting -> queued (those in its `after` have succeeded) | cancelled
    queued -> running | cancelled
    running -> succeeded | failed | cancelling | retry_wait | queued (drain, lease lost) | quarantined
    retry_wait -> queued | cancelled
    cancelling -> cancelled | succeeded (the commit won) | failed
    quarantined -> queued (an operator releases it)

A job waits for those in its `after`: a step of a plan (store/plans.py) for the steps that make what it takes, any other
for those that its submitter named. Their ends move it, in the same transaction: queued with the last that succeeds,
cancelled with the first that does not.

Of queued jobs a worker takes the one with the highest priority, of several the oldest (store/line.py). Messages in
Redis name no job, so priorities need nothing of the broker.

Who holds a job holds its fence, the number that the claim returned. A write with an older fence, or on a job
that is no longer running, raises `LeaseLost` and so rolls back all else in its transaction. All times are the
database's, so the clocks of workers do not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Uuid, any_, case, delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session

from terrarium.store import events, line, webhooks
from terrarium.store.events import Event
from terrarium.store.tables import Job, JobEvent, Outbox, Run

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

WORKER_LOCKS = 0x7E44A03  # any constant of our own; a worker holds (this, hash of its name) as long as it lives
MAX_LOST = 3
MAX_ATTEMPTS = 3
RETRY_DELAYS_S = (5.0, 30.0)  # after the first and the second attempt

OUTBOX_CHANNEL = "outbox"


class LeaseLost(Exception):
    """The job is no longer ours: another worker has it, or it was taken away."""


# ---- the user's side


def new_row(
    config: dict[str, Any],
    queue: str,
    parent_id: UUID | None = None,
    name: str = "",
    *,
    priority: int = 0,
    after: Collection[UUID] = (),
    **facts: Any,
) -> dict[str, Any]:
    """The columns of a job that is to be submitted. It waits unless all of `after` have succeeded. If `name` is
    omitted, it is the kind. `facts`: id, plan_id and step of a job of a plan."""
    row = {"id": uuid4(), "kind": config["kind"], "name": name or config["kind"], "config": config, "queue": queue}
    return row | {"parent_id": parent_id, "priority": priority, "after": list(after), "last_seq": 1} | facts


def submit(session: Session, *row: Any, **more: Any) -> Job:
    """As `submit_all`, of one row: the arguments are those of `new_row`."""
    return submit_all(session, [new_row(*row, **more)])[0]


def submit_all(session: Session, rows: Sequence[dict[str, Any]]) -> list[Job]:
    """Jobs, in the order of `rows`, with their first events and, for those that are queued, the outbox rows that will
    have a worker look: a statement for each table, however many jobs there are. Nobody yet waits for their news."""
    if not rows:
        return []
    earlier = {id for row in rows for id in row["after"]}
    unmade = {id for id, state in states_of(session, earlier).items() if state != "succeeded"} if earlier else set()
    rows = [row | {"state": "queued" if unmade.isdisjoint(row["after"]) else "waiting"} for row in rows]
    made = list(session.scalars(insert(Job).returning(Job, sort_by_parameter_order=True), rows))
    these = Job.id == any_(literal([job.id for job in made], ARRAY(Uuid)))
    first = select(Job.id, literal(1), literal("state"), func.jsonb_build_object("state", Job.state)).where(these)
    session.execute(insert(JobEvent).from_select(["job_id", "seq", "type", "data"], first))
    queued = select(Job.id).where(these, Job.state == "queued").order_by(Job.created_at, Job.id)
    session.execute(insert(Outbox).from_select(["job_id"], queued))
    session.execute(select(func.pg_notify(OUTBOX_CHANNEL, "")))
    return made


def states_of(session: Session, ids: Collection[UUID]) -> dict[UUID, str]:
    """{id: state} of the jobs that there are. None of them ends until the caller's transaction does."""
    statement = select(Job.id, Job.state).where(Job.id.in_(ids)).order_by(Job.id).with_for_update(read=True)
    return dict(session.execute(statement).all())


def edit(session: Session, job_id: UUID, **values: Any) -> Job | None:
    """Changes name, priority or config of a job that has not started, with an event that says what. None: it has, or
    there is no such job. The config only of one that has never run: its training states have the old one."""
    unstarted = Job.state.in_(("waiting", "queued")) & (Job.fence == 0 if "config" in values else True)
    statement = (
        update(Job)
        .where(Job.id == job_id, unstarted)
        .values(last_seq=Job.last_seq + 1, **values)
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job = session.execute(statement).scalar_one_or_none()
    if job is not None:
        events.append(session, job.id, job.last_seq, [Event("edited", values)])
    return job


def cancel(session: Session, job_id: UUID) -> Job | None:
    """Waiting jobs end at once, running ones begin to stop, any other stays as it is. None: no such job."""
    waiting = Job.state.in_(("waiting", "queued", "retry_wait"))
    moved = _move(
        session,
        job_id,
        case((waiting, "cancelled"), else_="cancelling"),
        (waiting | (Job.state == "running"),),
        finished_at=case((waiting, func.clock_timestamp()), else_=None),
    )
    return moved or session.get(Job, job_id, populate_existing=True)


def cancel_all(session: Session, job_ids: Collection[UUID]) -> list[str]:
    """As `cancel`, in a few statements however many they are -> the states of those that this moved."""
    waiting = Job.state.in_(("waiting", "queued", "retry_wait"))
    these = Job.id == any_(literal(list(job_ids), ARRAY(Uuid)))
    session.execute(select(Job.id).where(these).order_by(Job.created_at, Job.id).with_for_update())
    statement = (
        update(Job)
        .where(these, waiting | (Job.state == "running"))
        .values(
            state=case((waiting, "cancelled"), else_="cancelling"),
            last_seq=Job.last_seq + 1,
            finished_at=case((waiting, func.clock_timestamp()), else_=None),
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    moved = session.scalars(statement).all()
    events.append_to_each(session, [(job.id, job.last_seq, _state_event(job.state)) for job in moved])
    ended = {job.id: job for job in moved if job.state in TERMINAL}
    webhooks.jobs_ended(session, list(ended.values()))
    waited_for = select(func.unnest(Job.after)).where(Job.state == "waiting")
    for id in set(session.scalars(waited_for)) & ended.keys() if ended else ():
        _go_on(session, ended[id])
    return [job.state for job in moved]


def release(session: Session, job_id: UUID) -> Job | None:
    """quarantined -> queued, with its losses forgiven. None: it is not quarantined."""
    return _requeue(session, job_id, (Job.state == "quarantined",), reason="released", lost=0, finished_at=None)


# ---- the worker's side


def claim_next(session: Session, queues: Collection[str], worker: str, lease_s: float) -> Job | None:
    """Claims the first job in line in any of `queues` that is not paused. None: there is none."""
    first = session.scalar(line.in_order(queues).limit(1).with_for_update(skip_locked=True, of=Job))
    return None if first is None else claim(session, first, worker, lease_s)


def claim(session: Session, job_id: UUID, worker: str, lease_s: float) -> Job | None:
    """queued -> running, for exactly one of those who try. The new fence is `job.fence`."""
    job = _move(
        session,
        job_id,
        literal("running"),
        (Job.state == "queued",),
        fence=Job.fence + 1,
        attempt=Job.attempt + 1,
        lease_until=_from_now(lease_s),
        started_at=func.coalesce(Job.started_at, func.clock_timestamp()),
        error=None,
    )
    if job is not None:
        session.add(Run(job_id=job_id, fence=job.fence, worker=worker))
    return job


def heartbeat(session: Session, job_id: UUID, fence: int, lease_s: float) -> str:
    """Renews the lease and returns the state: running or cancelling."""
    state = session.execute(
        update(Job).where(*_held(job_id, fence)).values(lease_until=_from_now(lease_s)).returning(Job.state)
    ).scalar_one_or_none()
    if state is None:
        raise LeaseLost(str(job_id))
    return state


def held_state(session: Session, job_id: UUID, fence: int) -> str:
    """The state (running or cancelling) of a job that we hold."""
    state = session.execute(select(Job.state).where(*_held(job_id, fence))).scalar_one_or_none()
    if state is None:
        raise LeaseLost(str(job_id))
    return state


def record(
    session: Session, job_id: UUID, fence: int, new: Sequence[Event], progress: dict[str, Any] | None = None
) -> None:
    """Appends events of a job that we hold, and its newest progress."""
    values: dict[str, Any] = {"last_seq": Job.last_seq + len(new)}
    if progress is not None:
        values["progress"] = progress
    last_seq = session.execute(
        update(Job).where(*_held(job_id, fence)).values(values).returning(Job.last_seq)
    ).scalar_one_or_none()
    if last_seq is None:
        raise LeaseLost(str(job_id))
    if new:
        events.append(session, job_id, last_seq, new)


def finish(session: Session, job_id: UUID, fence: int, result: dict[str, Any]) -> Job:
    """-> succeeded, also from cancelling: the work was done before the stop was heard.

    The job's row stays locked until the commit, so what the caller moves or inserts next is fenced too.
    """
    job = _settle(session, job_id, fence, literal("succeeded"), result=result)
    _end_run(session, job, "succeeded")
    return job


def fail(
    session: Session, job_id: UUID, fence: int, error: dict[str, Any], evidence: dict[str, Any] | None = None
) -> Job:
    """-> failed, at once: the same config would fail again."""
    job = _settle(session, job_id, fence, literal("failed"), error=error)
    _end_run(session, job, "failed", evidence)
    return job


def cancelled(session: Session, job_id: UUID, fence: int) -> Job:
    """cancelling -> cancelled: the runner has ended."""
    job = _settle(session, job_id, fence, literal("cancelled"), extra=(Job.state == "cancelling",))
    _end_run(session, job, "cancelled")
    return job


def drained(session: Session, job_id: UUID, fence: int) -> Job:
    """-> queued (or cancelled, if that was asked for too): the worker goes away. Charges nothing."""
    cancelling = Job.state == "cancelling"
    job = _requeue(
        session,
        job_id,
        _held(job_id, fence),
        to=case((cancelling, "cancelled"), else_="queued"),
        reason="drained",
        attempt=Job.attempt - 1,
        finished_at=case((cancelling, func.clock_timestamp()), else_=None),
    )
    if job is None:
        raise LeaseLost(str(job_id))
    _end_run(session, job, "drained")
    return job


def retry_later(
    session: Session, job_id: UUID, fence: int, error: dict[str, Any], evidence: dict[str, Any] | None = None
) -> Job:
    """-> retry_wait, for failures of the place and not of the job; the third is final."""
    cancelling, last = Job.state == "cancelling", Job.attempt >= MAX_ATTEMPTS
    delay = case((Job.attempt <= 1, RETRY_DELAYS_S[0]), else_=RETRY_DELAYS_S[1])
    job = _settle(
        session,
        job_id,
        fence,
        case((cancelling, "cancelled"), (last, "failed"), else_="retry_wait"),
        error=error,
        retry_at=func.clock_timestamp() + delay * timedelta(seconds=1),
        finished_at=case((cancelling | last, func.clock_timestamp()), else_=None),
    )
    _end_run(session, job, "failed", evidence)
    return job


def lose(
    session: Session,
    job_id: UUID,
    fence: int,
    evidence: dict[str, Any],
    extra: tuple[ColumnElement[bool], ...] = (),
) -> Job:
    """-> queued again, or quarantined at the third loss: the worker or its runner vanished.

    `evidence`: {"reason", "exit_code"?, "signal"?, "log_tail"?}. Losses count apart from attempts.
    """
    cancelling, too_often = Job.state == "cancelling", Job.lost + 1 >= MAX_LOST
    message = f"lost {MAX_LOST} times, the last time because {evidence['reason']}"
    error = {"code": "worker_lost", "message": message, "evidence": evidence}
    job = _requeue(
        session,
        job_id,
        (*_held(job_id, fence), *extra),
        to=case((cancelling, "cancelled"), (too_often, "quarantined"), else_="queued"),
        reason=evidence["reason"],
        lost=Job.lost + 1,
        attempt=Job.attempt - 1,
        error=case((~cancelling & too_often, literal(error, JSONB)), else_=None),
        finished_at=case((cancelling | too_often, func.clock_timestamp()), else_=None),
    )
    if job is None:
        raise LeaseLost(str(job_id))
    _end_run(session, job, "lost", evidence)
    return job


# ---- the dispatcher's side

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
    moved = (_requeue(session, job_id, due, reason="retry", finished_at=None) for job_id in ids)
    return [job for job in moved if job is not None]


def emit(session: Session, job_id: UUID) -> None:
    """Asks the dispatcher to publish the job's id (again): twice is harmless, only one claim wins."""
    session.add(Outbox(job_id=job_id))
    session.execute(select(func.pg_notify(OUTBOX_CHANNEL, "")))


def look_again(session: Session, queues: Collection[str]) -> None:
    """Has another worker look at these queues: the caller has a message that it cannot follow."""
    first = session.scalar(line.in_order(queues).limit(1))
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


# ---- those that wait


def _go_on(session: Session, ended: Job) -> None:
    """Moves the jobs that wait for one that has ended. Their rows are locked first, so of several that end at once the
    last sees the others' ends."""
    for job in _lock_waiting(session, ended):
        if ended.id not in job.after or job.state != "waiting":
            continue
        states = session.scalars(select(Job.state).where(Job.id.in_(job.after))).all()
        if all(state == "succeeded" for state in states):
            which = f"step {ended.step}" if _same_plan(job, ended) else f"job {ended.id}"
            _requeue(session, job.id, (Job.state == "waiting",), reason=f"{which} succeeded")
        elif any(state in ("failed", "cancelled") for state in states):
            _move(
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


# ---- the one UPDATE


def _move(
    session: Session,
    job_id: UUID,
    to: ColumnElement[str],
    where: Sequence[ColumnElement[bool]],
    reason: str | None = None,
    **values: Any,
) -> Job | None:
    statement = (
        update(Job)
        .where(Job.id == job_id, *where)
        .values(state=to, last_seq=Job.last_seq + 1, **values)
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job = session.execute(statement).scalar_one_or_none()
    if job is not None:
        events.append(session, job.id, job.last_seq, [_state_event(job.state, job.error, reason)])
        if job.state in AT_REST:
            webhooks.jobs_ended(session, [job])
        if job.state in TERMINAL:
            _go_on(session, job)
    return job


def _settle(
    session: Session,
    job_id: UUID,
    fence: int,
    to: ColumnElement[str],
    extra: tuple[ColumnElement[bool], ...] = (),
    **values: Any,
) -> Job:
    """The end of a run by the one who holds it."""
    values = {"finished_at": func.clock_timestamp()} | values
    job = _move(session, job_id, to, (*_held(job_id, fence), *extra), lease_until=None, **values)
    if job is None:
        raise LeaseLost(str(job_id))
    return job


def _requeue(
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
    job = _move(session, job_id, target, where, reason, queued_at=func.clock_timestamp(), **values)
    if job is not None and job.state == "queued":
        emit(session, job.id)
    return job


def _end_run(session: Session, job: Job, state: str, evidence: dict[str, Any] | None = None) -> None:
    session.execute(
        update(Run)
        .where(Run.job_id == job.id, Run.fence == job.fence, Run.state == "running")
        .values(
            state=state,
            exit_code=(evidence or {}).get("exit_code"),
            evidence=evidence,
            finished_at=func.clock_timestamp(),
        )
    )


def _held(job_id: UUID, fence: int) -> tuple[ColumnElement[bool], ...]:
    return Job.id == job_id, Job.fence == fence, Job.state.in_(HELD)


def _from_now(seconds: float) -> ColumnElement[Any]:
    return func.clock_timestamp() + timedelta(seconds=seconds)


def _state_event(state: str, error: dict[str, Any] | None = None, reason: str | None = None) -> Event:
    data: dict[str, Any] = {"state": state}
    if error is not None:
        data["error"] = error
    if reason is not None:
        data["reason"] = reason
    return Event("state", data)
