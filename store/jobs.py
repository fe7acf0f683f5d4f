"""The life of a job, for who submits it and who runs it. Every change is a move (store/moves.py) in the caller's
transaction.

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

from sqlalchemy import ColumnElement, Uuid, any_, case, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session

from terrarium.store import events, line, webhooks
from terrarium.store.events import Event
from terrarium.store.moves import HELD, OUTBOX_CHANNEL, TERMINAL, go_on, move, requeue, state_event
from terrarium.store.tables import Job, JobEvent, Outbox, Run

MAX_LOST = 3
MAX_ATTEMPTS = 3
RETRY_DELAYS_S = (5.0, 30.0)  # after the first and the second attempt


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
    processes: int = 1,
    after: Collection[UUID] = (),
    **facts: Any,
) -> dict[str, Any]:
    """The columns of a job that is to be submitted. It waits unless all of `after` have succeeded. If `name` is
    omitted, it is the kind. `facts`: id, plan_id and step of a job of a plan."""
    row = {"id": uuid4(), "kind": config["kind"], "name": name or config["kind"], "config": config, "queue": queue}
    row |= {"parent_id": parent_id, "priority": priority, "processes": processes, "after": list(after)}
    return row | {"last_seq": 1} | facts


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
    moved = move(
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
    events.append_to_each(session, [(job.id, job.last_seq, state_event(job.state)) for job in moved])
    ended = {job.id: job for job in moved if job.state in TERMINAL}
    webhooks.jobs_ended(session, list(ended.values()))
    waited_for = select(func.unnest(Job.after)).where(Job.state == "waiting")
    for id in set(session.scalars(waited_for)) & ended.keys() if ended else ():
        go_on(session, ended[id])
    return [job.state for job in moved]


def release(session: Session, job_id: UUID) -> Job | None:
    """quarantined -> queued, with its losses forgiven. None: it is not quarantined."""
    return requeue(session, job_id, (Job.state == "quarantined",), reason="released", lost=0, finished_at=None)


# ---- the worker's side


def claim_next(
    session: Session, queues: Collection[str], worker: str, lease_s: float, processes: int = 1
) -> Job | None:
    """Claims the first job in line in any of `queues` that is not paused, of at most so many processes. None: there is
    none."""
    first = session.scalar(line.in_order(queues, processes).limit(1).with_for_update(skip_locked=True, of=Job))
    return None if first is None else claim(session, first, worker, lease_s)


def claim(session: Session, job_id: UUID, worker: str, lease_s: float) -> Job | None:
    """queued -> running, for exactly one of those who try. The new fence is `job.fence`."""
    job = move(
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
    job = requeue(
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
    job = requeue(
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
    job = move(session, job_id, to, (*_held(job_id, fence), *extra), lease_until=None, **values)
    if job is None:
        raise LeaseLost(str(job_id))
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
