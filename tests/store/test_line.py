"""The order of queued jobs, pauses, and jobs that start after others, on a real Postgres."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from terrarium.store import dispatch, jobs, line
from terrarium.store.db import session_scope
from terrarium.store.tables import Job, JobEvent, Outbox

CONFIG = {"kind": "dataset.record", "episodes": 2}
ALL = ("cpu", "gpu.train")


def submit(db: Session, queue: str = "cpu", **more: Any) -> UUID:
    return jobs.submit(db, CONFIG, queue, **more).id


def end(db: Session, id: UUID, how: str = "finish") -> None:
    job = jobs.claim(db, id, "w", 60)
    assert job is not None
    if how == "finish":
        jobs.finish(db, id, job.fence, {})
    else:
        jobs.fail(db, id, job.fence, {"code": "nan_loss", "message": "-"})


def taken(db: Session, queues: tuple[str, ...] = ALL) -> list[UUID]:
    """All that a worker takes, one after the other."""
    found = []
    while (job := jobs.claim_next(db, queues, "w", 60)) is not None:
        found.append(job.id)
    return found


def test_the_higher_priority_goes_first_then_the_older_over_all_queues_of_a_worker(db: Session) -> None:
    old, low, new = submit(db), submit(db, priority=-5), submit(db, "gpu.train")
    urgent = submit(db, "gpu.train", priority=3)
    place = {id: line.position(db, db.get_one(Job, id)) for id in (old, low, new, urgent)}
    assert place == {old: 1, low: 2, new: 2, urgent: 1}
    assert {queue: [job.id for job in some] for queue, some in line.lines(db, 100).items()} == {
        "cpu": [old, low],
        "gpu.train": [urgent, new],
    }
    assert [len(some) for some in line.lines(db, 1).values()] == [1, 1]
    assert line.lengths(db) == {"cpu": 2, "gpu.train": 2}
    assert taken(db, ("gpu.train",))[:1] == [urgent]
    assert taken(db) == [old, low]


def test_a_drained_job_keeps_its_place(db: Session) -> None:
    first, second = submit(db), submit(db)
    job = jobs.claim_next(db, ALL, "w", 60)
    assert job is not None and job.id == first
    jobs.drained(db, first, job.fence)
    assert taken(db) == [first, second]


def test_a_paused_queue_gives_nothing_until_it_is_resumed(db: Session) -> None:
    held, other = submit(db), submit(db, "gpu.train")
    line.pause(db, "cpu")
    line.pause(db, "cpu")
    db.execute(text("DELETE FROM outbox"))
    assert set(line.pauses(db)) == {"cpu"} and line.unannounced(db, 0) == {"gpu.train": 1}
    assert taken(db) == [other]
    line.resume(db, "cpu")
    assert line.unannounced(db, 0) == {"cpu": 1} and line.unannounced(db, 60) == {}
    assert taken(db) == [held]


def test_jobs_in_the_outbox_are_announced(db: Session) -> None:
    submit(db)
    assert line.unannounced(db, 0) == {}
    dispatch.take_outbox(db)
    assert line.unannounced(db, 0) == {"cpu": 1}
    dispatch.look_again(db, ("gpu.train",))
    assert line.unannounced(db, 0) == {"cpu": 1}, "there is nothing to look at"
    dispatch.look_again(db, ALL)
    assert line.unannounced(db, 0) == {}


def test_many_workers_take_each_job_once(db: Session) -> None:
    ids = [submit(db, priority=n % 3) for n in range(12)]
    db.commit()
    together = Barrier(4)

    def work(n: int) -> list[UUID]:
        found = []
        together.wait()
        while True:
            with session_scope() as session:
                job = jobs.claim_next(session, ALL, f"worker {n}", 60)
            if job is None:
                return found
            found.append(job.id)

    with ThreadPoolExecutor(4) as pool:
        found = [id for some in pool.map(work, range(4)) for id in some]
    assert sorted(found) == sorted(ids)


def test_a_job_starts_after_those_that_it_names(db: Session) -> None:
    first, second = submit(db), submit(db)
    both, last = submit(db, after=[first, second]), None
    last = submit(db, after=[both])
    assert db.scalars(select(Outbox.job_id)).all() == [first, second], "those that wait have no message"
    end(db, first)
    assert db.get_one(Job, both).state == "waiting"
    end(db, second)
    assert [db.get_one(Job, id).state for id in (both, last)] == ["queued", "waiting"]
    assert submit(db, after=[first]) in taken(db), "what has succeeded already is not waited for"


@pytest.mark.parametrize("how", ["fail", "cancel"])
def test_it_is_cancelled_with_a_reason_where_one_does_not_succeed(db: Session, how: str) -> None:
    first = jobs.submit(db, CONFIG, "cpu", name="walks")
    after = db.get_one(Job, submit(db, after=[first.id]))
    behind = db.get_one(Job, submit(db, after=[after.id]))
    if how == "fail":
        end(db, first.id, "fail")
    else:
        jobs.cancel(db, first.id)
    assert (after.state, behind.state) == ("cancelled", "cancelled") and after.finished_at is not None
    assert after.error == {
        "code": "earlier_not_made",
        "message": f"job {first.id} (walks), after which it was to start, {first.state}",
    }


def test_all_that_a_job_waits_for_may_end_at_once(db: Session) -> None:
    for _ in range(5):
        pair = [submit(db), submit(db)]
        last = submit(db, after=pair)
        fences = {id: job.fence for id in pair if (job := jobs.claim(db, id, "w", 60)) is not None}
        db.commit()
        together = Barrier(2)

        def finish(id: UUID, together: Barrier = together, fences: dict[UUID, int] = fences) -> None:
            with session_scope() as session:
                together.wait()
                jobs.finish(session, id, fences[id], {})

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(finish, pair))
        db.expire_all()
        assert db.get_one(Job, last).state == "queued"


def test_submission_and_end_at_once_leave_nobody_waiting(db: Session) -> None:
    """The end is seen by one of the two: the new job's transaction, or that of the end."""
    for _ in range(10):
        first = submit(db)
        job = jobs.claim(db, first, "w", 60)
        assert job is not None
        db.commit()
        together = Barrier(2)

        def finish(id: UUID = first, fence: int = job.fence, together: Barrier = together) -> None:
            with session_scope() as session:
                together.wait()
                jobs.finish(session, id, fence, {})

        def follow(id: UUID = first, together: Barrier = together) -> UUID:
            with session_scope() as session:
                together.wait()
                return submit(session, after=[id])

        with ThreadPoolExecutor(2) as pool:
            ended, new = pool.submit(finish), pool.submit(follow)
        ended.result()
        db.expire_all()
        assert db.get_one(Job, new.result()).state == "queued"


def test_a_job_that_waits_is_edited_and_one_that_runs_is_not(db: Session) -> None:
    id = submit(db)
    job = jobs.edit(db, id, priority=4, name="soon", config=CONFIG | {"episodes": 3})
    assert job is not None and (job.priority, job.name, job.config["episodes"], job.last_seq) == (4, "soon", 3, 2)
    event = db.get_one(JobEvent, (id, 2))
    assert event.type == "edited" and event.data["priority"] == 4
    claimed = jobs.claim(db, id, "w", 60)
    assert claimed is not None and jobs.edit(db, id, priority=1) is None
    jobs.drained(db, id, claimed.fence)
    assert jobs.edit(db, id, config=CONFIG) is None, "its training states have the old config"
    assert jobs.edit(db, id, priority=1) is not None
