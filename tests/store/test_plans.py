"""Jobs of a plan on a real Postgres: each is queued once, by the last end that it waits for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrarium.store import jobs, plans
from terrarium.store.db import session_scope
from terrarium.store.plans import NewStep
from terrarium.store.tables import Job, JobEvent, Outbox, Plan

CHAIN = {"walks": (), "eye": ("walks",), "model": ("walks", "eye")}
FORK = {"left": (), "right": (), "both": ("left", "right")}


def submit(db: Session, takes: dict[str, tuple[str, ...]]) -> tuple[Plan, dict[str, UUID]]:
    """A plan of steps that take what others make."""
    ids = plans.new_ids(list(takes))
    steps = [
        NewStep(step, {"kind": "toy", "given": [str(ids[name]) for name in names], "seed": 1}, "cpu", f"plan, {step}")
        for step, names in takes.items()
    ]
    plan = plans.submit(db, "plan", steps, ids)
    db.commit()
    return plan, ids


def run(db: Session, id: UUID, how: str = "finish") -> None:
    job = jobs.claim(db, id, "w", 60)
    assert job is not None, "it is not queued"
    if how == "finish":
        jobs.finish(db, id, job.fence, {})
    else:
        jobs.fail(db, id, job.fence, {"code": "nan_loss", "message": "-"})
    db.commit()


def states(db: Session, plan: Plan) -> list[str]:
    return [job.state for job in plans.newest(db, [plan])[plan.id]]


def test_each_step_is_queued_by_what_it_takes(db: Session) -> None:
    plan, ids = submit(db, CHAIN)
    assert states(db, plan) == ["queued", "waiting", "waiting"]
    assert db.scalars(select(Outbox.job_id)).all() == [ids["walks"]], "waiting jobs have no message"
    run(db, ids["walks"])
    assert states(db, plan) == ["succeeded", "queued", "waiting"]
    run(db, ids["eye"])
    assert states(db, plan) == ["succeeded", "succeeded", "queued"]
    run(db, ids["model"])
    assert sorted(map(str, db.scalars(select(Outbox.job_id)))) == sorted(map(str, ids.values())), "one message each"


def test_a_step_is_queued_once_where_all_that_it_takes_ends_at_once(db: Session) -> None:
    for _ in range(5):
        _, ids = submit(db, FORK)
        fences = {}
        for name in ("left", "right"):
            job = jobs.claim(db, ids[name], "w", 60)
            assert job is not None
            fences[name] = job.fence
        db.commit()
        both = Barrier(2)

        def finish(
            name: str, both: Barrier = both, fences: dict[str, int] = fences, ids: dict[str, UUID] = ids
        ) -> None:
            with session_scope() as session:
                both.wait()
                jobs.finish(session, ids[name], fences[name], {})

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(finish, ("left", "right")))
        db.expire_all()
        assert db.get_one(Job, ids["both"]).state == "queued"
        assert db.scalar(select(func.count()).where(Outbox.job_id == ids["both"])) == 1


def test_an_end_that_is_rolled_back_hands_nothing_over(db: Session) -> None:
    plan, ids = submit(db, CHAIN)
    job = jobs.claim(db, ids["walks"], "w", 60)
    assert job is not None
    db.commit()
    jobs.finish(db, ids["walks"], job.fence, {})
    db.rollback()  # the asset's row could not be written, say
    assert states(db, plan) == ["running", "waiting", "waiting"]
    jobs.finish(db, ids["walks"], job.fence, {})
    db.commit()
    with pytest.raises(jobs.LeaseLost):
        jobs.finish(db, ids["walks"], job.fence, {})
    assert states(db, plan) == ["succeeded", "queued", "waiting"]


@pytest.mark.parametrize("how", ["fail", "cancel"])
def test_a_step_that_is_not_made_ends_those_that_need_it(db: Session, how: str) -> None:
    plan, ids = submit(db, CHAIN)
    if how == "fail":
        run(db, ids["walks"], "fail")
    else:
        jobs.cancel(db, ids["walks"])
        db.commit()
    first, eye, model = plans.newest(db, [plan])[plan.id]
    assert (eye.state, model.state) == ("cancelled", "cancelled") and eye.finished_at is not None
    assert eye.error is not None and eye.error["code"] == "step_not_made"
    assert eye.error["message"] == f"step walks of its plan {first.state} (job {first.id})"
    last = db.scalars(select(JobEvent).where(JobEvent.job_id == model.id).order_by(JobEvent.seq.desc())).first()
    assert last is not None and last.data["state"] == "cancelled" and last.seq == model.last_seq == 2


def test_a_retry_continues_the_plan(db: Session) -> None:
    plan, ids = submit(db, CHAIN)
    run(db, ids["walks"])
    run(db, ids["eye"], "fail")
    assert states(db, plan) == ["succeeded", "failed", "cancelled"]
    again = plans.retry(db, db.get_one(Job, ids["eye"]))
    db.commit()
    walks, eye, model = plans.newest(db, [plan])[plan.id]
    assert (walks.id, eye.id, eye.parent_id) == (ids["walks"], again.id, ids["eye"])
    assert [eye.state, model.state] == ["queued", "waiting"] and model.parent_id == ids["model"]
    assert model.config["given"] == [str(ids["walks"]), str(again.id)]
    run(db, again.id)
    assert states(db, plan) == ["succeeded", "succeeded", "queued"]


def test_a_retry_of_a_quarantined_step_takes_those_that_wait_along(db: Session) -> None:
    plan, ids = submit(db, CHAIN)
    for _ in range(jobs.MAX_LOST):
        job = jobs.claim(db, ids["walks"], "w", 60)
        assert job is not None
        jobs.lose(db, job.id, job.fence, {"reason": "the test says so"})
    db.commit()
    assert states(db, plan) == ["quarantined", "waiting", "waiting"]
    plans.retry(db, db.get_one(Job, ids["walks"]))
    db.commit()
    assert states(db, plan) == ["queued", "waiting", "waiting"]
    assert [db.get_one(Job, ids[name]).state for name in ("eye", "model")] == ["cancelled", "cancelled"]


def test_cancelling_a_plan_leaves_what_is_made(db: Session) -> None:
    plan, ids = submit(db, CHAIN)
    run(db, ids["walks"])
    assert jobs.claim(db, ids["eye"], "w", 60) is not None
    plans.cancel(db, plan)
    db.commit()
    assert states(db, plan) == ["succeeded", "cancelling", "cancelled"]
