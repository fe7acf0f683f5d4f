"""The life of a job on a real Postgres: every edge, every forbidden edge, races, fences, gapless events."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from terrarium.store import dispatch, events, jobs, moves
from terrarium.store.db import session_scope
from terrarium.store.events import Event
from terrarium.store.jobs import LeaseLost
from terrarium.store.tables import Job, JobEvent, Outbox, Run

CONFIG = {"kind": "dataset.record", "episodes": 2}
WHY = {"reason": "the test says so", "exit_code": -9, "signal": "SIGKILL", "log_tail": ["last words"]}
FENCE = 1


def make(db: Session, state: str) -> Job:
    """A job in `state`, brought there by the functions under test; fence 1 wherever it was claimed."""
    if state == "waiting":
        return jobs.submit(db, CONFIG, "cpu", after=[jobs.submit(db, CONFIG, "cpu").id])
    job = jobs.submit(db, CONFIG, "cpu")
    if state == "queued":
        return job
    if state == "cancelled":
        jobs.cancel(db, job.id)
        return job
    if state == "quarantined":
        for _ in range(jobs.MAX_LOST):
            claimed = jobs.claim(db, job.id, "w", 60)
            assert claimed is not None
            jobs.lose(db, job.id, claimed.fence, WHY)
        return job
    assert jobs.claim(db, job.id, "w", 60) is not None
    if state == "cancelling":
        jobs.cancel(db, job.id)
    elif state == "retry_wait":
        jobs.retry_later(db, job.id, FENCE, {"code": "store_down", "message": "-"})
    elif state == "succeeded":
        jobs.finish(db, job.id, FENCE, {})
    elif state == "failed":
        jobs.fail(db, job.id, FENCE, {"code": "nan_loss", "message": "-"})
    return job


def due(db: Session, job_id: UUID) -> None:
    db.execute(update(Job).where(Job.id == job_id).values(retry_at=func.now() - text("interval '1 s'")))
    dispatch.queue_due_retries(db)


def expire(db: Session, job_id: UUID) -> None:
    db.execute(update(Job).where(Job.id == job_id).values(lease_until=func.now() - text("interval '1 s'")))
    dispatch.expire_leases(db)


ACTS: dict[str, Callable[[Session, UUID], object]] = {
    "claim": lambda db, id: jobs.claim(db, id, "w", 60),
    "cancel": jobs.cancel,
    "finish": lambda db, id: jobs.finish(db, id, FENCE, {"ok": 1}),
    "fail": lambda db, id: jobs.fail(db, id, FENCE, {"code": "nan_loss", "message": "-"}),
    "cancelled": lambda db, id: jobs.cancelled(db, id, FENCE),
    "drained": lambda db, id: jobs.drained(db, id, FENCE),
    "lose": lambda db, id: jobs.lose(db, id, FENCE, WHY),
    "retry_later": lambda db, id: jobs.retry_later(db, id, FENCE, {"code": "x", "message": "-"}),
    "due": due,
    "expire": expire,
    "release": jobs.release,
}
# What each act makes of each state; a state that is not named stays as it is.
AFTER = {
    "claim": {"queued": "running"},
    "cancel": {"waiting": "cancelled", "queued": "cancelled", "retry_wait": "cancelled", "running": "cancelling"},
    "finish": {"running": "succeeded", "cancelling": "succeeded"},
    "fail": {"running": "failed", "cancelling": "failed"},
    "cancelled": {"cancelling": "cancelled"},
    "drained": {"running": "queued", "cancelling": "cancelled"},
    "lose": {"running": "queued", "cancelling": "cancelled"},
    "retry_later": {"running": "retry_wait", "cancelling": "cancelled"},
    "due": {"retry_wait": "queued"},
    "expire": {"running": "queued", "cancelling": "cancelled"},
    "release": {"quarantined": "queued"},
}


@pytest.mark.parametrize("state", moves.STATES)
@pytest.mark.parametrize("act", ACTS)
def test_every_act_on_every_state(db: Session, act: str, state: str) -> None:
    job = make(db, state)
    assert job.state == state
    before = job.last_seq
    try:
        ACTS[act](db, job.id)
    except LeaseLost:
        assert state not in AFTER[act]
    db.refresh(job)
    expected = AFTER[act].get(state, state)
    assert job.state == expected
    assert expected == state or expected in moves.EDGES[state], "the act walks an edge that is not drawn"
    assert job.last_seq == before + (expected != state), "one event a change, none without"
    last = db.scalars(select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.seq.desc())).first()
    assert last is not None and last.data["state"] == expected and last.seq == job.last_seq
    if expected == "queued" and state != "queued":
        emitted = db.scalars(select(Outbox).where(Outbox.job_id == job.id)).all()
        assert len(emitted) >= 2, "a queued job needs its message"
    assert (job.finished_at is not None) == (expected in moves.AT_REST)


def test_only_one_of_many_claims_wins(db: Session) -> None:
    with session_scope() as session:
        job_id = jobs.submit(session, CONFIG, "cpu").id
    together = Barrier(8)

    def claim(n: int) -> int | None:
        with session_scope() as session:
            together.wait()
            job = jobs.claim(session, job_id, f"worker {n}", 60)
            return job.fence if job else None

    with ThreadPoolExecutor(8) as pool:
        fences = list(pool.map(claim, range(8)))
    assert sorted(f for f in fences if f is not None) == [1]
    assert db.scalar(select(func.count()).select_from(Run)) == 1


def test_a_stale_fence_writes_nothing(db: Session) -> None:
    job = make(db, "running")
    jobs.lose(db, job.id, FENCE, WHY)
    assert jobs.claim(db, job.id, "another", 60) is not None
    db.commit()
    stale: list[Callable[[Session], object]] = [
        lambda s: jobs.heartbeat(s, job.id, FENCE, 60),
        lambda s: jobs.held_state(s, job.id, FENCE),
        lambda s: jobs.record(s, job.id, FENCE, [Event("log", {"line": "ghost"})], {"step": 9}),
        lambda s: jobs.finish(s, job.id, FENCE, {}),
        lambda s: jobs.fail(s, job.id, FENCE, {"code": "x", "message": "-"}),
        lambda s: jobs.drained(s, job.id, FENCE),
        lambda s: jobs.lose(s, job.id, FENCE, WHY),
        lambda s: jobs.retry_later(s, job.id, FENCE, {"code": "x", "message": "-"}),
    ]
    count = select(func.count()).select_from(JobEvent)
    before = db.scalar(count)
    for write in stale:
        with pytest.raises(LeaseLost), session_scope() as session:
            write(session)
    db.refresh(job)
    assert (job.state, job.fence, job.progress) == ("running", 2, {})
    assert db.scalar(count) == before


def test_numbers_are_gapless_under_concurrency(db: Session) -> None:
    job = make(db, "running")
    db.commit()

    def write(n: int) -> None:
        with session_scope() as session:
            jobs.record(session, job.id, FENCE, [Event("log", {"line": f"{n}.{i}"}) for i in range(n % 3 + 1)])
            if n % 5 == 0:
                session.rollback()  # a transaction that fails takes its numbers with it

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    seqs = db.scalars(select(JobEvent.seq).where(JobEvent.job_id == job.id).order_by(JobEvent.seq)).all()
    db.refresh(job)
    assert list(seqs) == list(range(1, job.last_seq + 1))
    assert len(seqs) == 2 + sum(n % 3 + 1 for n in range(40) if n % 5)


def test_attempts_and_losses_are_counted_apart(db: Session) -> None:
    job = make(db, "running")
    assert (job.attempt, job.lost) == (1, 0)
    jobs.drained(db, job.id, FENCE)
    assert (job.attempt, job.lost) == (0, 0)
    jobs.claim(db, job.id, "w", 60)
    jobs.lose(db, job.id, 2, WHY)
    assert (job.attempt, job.lost) == (0, 1)
    runs = db.execute(select(Run.state, Run.exit_code).order_by(Run.fence)).all()
    assert [tuple(r) for r in runs] == [("drained", None), ("lost", -9)]


def test_the_third_loss_is_quarantine_with_its_evidence(db: Session) -> None:
    job = make(db, "quarantined")
    assert job.error is not None and job.error["code"] == "worker_lost"
    assert job.error["evidence"] == WHY
    assert jobs.release(db, job.id) is not None
    assert (job.state, job.lost, job.error, job.finished_at) == ("queued", 0, None, None)


def test_the_third_failure_of_the_place_is_final(db: Session) -> None:
    job = make(db, "queued")
    states = []
    for fence in (1, 2, 3):
        jobs.claim(db, job.id, "w", 60)
        jobs.retry_later(db, job.id, fence, {"code": "store_down", "message": "-"})
        states.append(job.state)
        due(db, job.id)
    assert states == ["retry_wait", "retry_wait", "failed"]
    assert job.error == {"code": "store_down", "message": "-"}


def test_a_lease_that_is_renewed_does_not_expire(db: Session) -> None:
    job = make(db, "running")
    assert job.lease_until is not None
    before = job.lease_until
    assert jobs.heartbeat(db, job.id, FENCE, 90) == "running"
    assert dispatch.expire_leases(db) == []
    db.refresh(job)
    assert job.lease_until > before and job.state == "running"


def test_cancel_and_finish_race_to_one_end(db: Session) -> None:
    for _ in range(10):
        with session_scope() as session:
            job_id = make(session, "running").id
        together = Barrier(2)

        def act(name: str, job_id: UUID = job_id, together: Barrier = together) -> None:
            with session_scope() as session:
                together.wait()
                ACTS[name](session, job_id)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, ["cancel", "finish"]))
        job = db.get(Job, job_id, populate_existing=True)
        assert job is not None and job.state == "succeeded"


def test_outbox_is_taken_once_and_only_for_queued_jobs(db: Session) -> None:
    first, second = make(db, "queued"), make(db, "cancelled")
    db.commit()
    assert dispatch.take_outbox(db) == ([(first.id, "cpu")], False)
    assert dispatch.take_outbox(db) == ([], False) and second.state == "cancelled"


def test_outbox_rows_come_back_when_publishing_fails(db: Session) -> None:
    job = make(db, "queued")
    db.commit()
    dispatch.take_outbox(db)
    db.rollback()
    assert dispatch.take_outbox(db) == ([(job.id, "cpu")], False)


def test_history_leaves_out_progress_that_was_overtaken(db: Session) -> None:
    job = make(db, "running")
    steps = [Event("progress", {"step": n}) for n in (1, 2, 3)]
    jobs.record(db, job.id, FENCE, [*steps[:2], Event("metrics", {"step": 2}), steps[2]], {"step": 3})
    assert [e.seq for e in events.history(db, job.id, 0)] == [1, 2, 5, 6]
    assert [e.seq for e in events.history(db, job.id, 5)] == [6]
    assert [e.seq for e in events.history(db, job.id, 0, limit=2)] == [1, 2]
    assert events.history(db, uuid4(), 0) == []
