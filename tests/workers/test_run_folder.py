"""The folders of a job's runs: handed from fence to fence, removed at its end; and the end itself, repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from terrarium.store import jobs
from terrarium.store.db import session_scope
from terrarium.store.jobs import LeaseLost
from terrarium.store.tables import Asset, Job, TrainingState
from terrarium.workers import outputs, run_folder
from terrarium.workers.run_folder import folder_of, sweep, take_over

RECORD = {"kind": "dataset.record", "episodes": 2}


@pytest.fixture
def job(db: Session, data_dir: Path) -> Job:
    return claim(submit())


def submit(**more: Any) -> Job:
    with session_scope() as session:
        return jobs.submit(session, RECORD, "cpu", **more)


def claim(job: Job) -> Job:
    with session_scope() as session:
        claimed = jobs.claim(session, job.id, "test", 60)
    assert claimed is not None
    return claimed


def lose(job: Job) -> Job:
    """Taken away and claimed again: the next fence."""
    with session_scope() as session:
        jobs.lose(session, job.id, job.fence, {"reason": "the test"})
    return claim(job)


def fail(job: Job, code: str) -> None:
    with session_scope() as session:
        jobs.fail(session, job.id, job.fence, {"code": code, "message": ""})


def cancel(job: Job) -> None:
    with session_scope() as session:
        jobs.cancel(session, job.id)
        jobs.cancelled(session, job.id, job.fence)


def state_of(job: Job, step: int, committed: bool = True) -> Path:
    folder = folder_of(job) / "state" / f"step_{step}"
    folder.mkdir(parents=True)
    if committed:
        with session_scope() as session:
            session.add(TrainingState(job_id=job.id, step=step, path=f"state/step_{step}", fence=job.fence))
    return folder


def output_of(job: Job) -> Path:
    output = folder_of(job) / "output"
    output.mkdir()
    (output / "manifest.json").write_text('{"made_by": "the test"}')
    return output


def test_a_run_takes_what_the_one_before_has_left(job: Job) -> None:
    take_over(job)
    state_of(job, 3)
    state_of(job, 5, committed=False)
    (folder_of(job) / "runner.log").write_text("one\n")
    second = lose(job)
    take_over(second)
    assert folder_of(second).name == "2" and not folder_of(job).exists()
    assert {p.name for p in (folder_of(second) / "state").iterdir()} == {"step_3"}
    assert (folder_of(second) / "runner.log").read_text() == "one\n"
    take_over(second)
    assert (folder_of(second) / "state" / "step_3").is_dir(), "once more changes nothing"


def test_a_runner_that_was_cut_off_reaches_nothing_of_the_next(job: Job) -> None:
    take_over(job)
    log = (folder_of(job) / "runner.log").open("ab", buffering=0)
    log.write(b"one\n")
    second = lose(job)
    take_over(second)
    log.write(b"late\n")
    with pytest.raises(FileNotFoundError):
        (folder_of(job) / "output").mkdir()
    (folder_of(job) / "output").mkdir(parents=True)  # some recipes would
    assert [p.name for p in folder_of(second).iterdir()] == ["runner.log"]
    assert (folder_of(second) / "runner.log").read_text() == "one\n"
    third = lose(second)
    take_over(third)
    assert [p.name for p in folder_of(third).parent.iterdir()] == ["3"] and not (folder_of(third) / "output").exists()


def test_who_has_lost_the_job_takes_nothing(job: Job) -> None:
    take_over(job)
    second = lose(job)
    take_over(second)
    with pytest.raises(LeaseLost):
        take_over(job)
    assert [p.name for p in folder_of(job).parent.iterdir()] == ["2"]


# ---- the end


@contextmanager
def commits_fail(db: Session) -> Iterator[None]:
    """Every statement on `jobs` succeeds, and then the COMMIT does not."""
    body = "BEGIN RAISE EXCEPTION 'no commit today'; END"
    make = (
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    for statement in make:
        db.execute(text(statement))
    db.commit()
    try:
        yield
    finally:
        db.execute(text("DROP FUNCTION refuse CASCADE"))
        db.commit()


def test_a_commit_that_is_rolled_back_can_be_repeated(job: Job, db: Session, data_dir: Path) -> None:
    take_over(job)
    output_of(job)
    with commits_fail(db), pytest.raises(DBAPIError, match="no commit today"):
        outputs.commit(job, {}, folder_of(job))
    assert db.scalars(select(Asset)).all() == []
    db.commit()
    outputs.commit(job, {}, folder_of(job))
    dataset = db.scalars(select(Asset)).one()
    assert dataset.id == str(job.id) and dataset.manifest["made_by"] == "the test"
    assert json.loads((data_dir / "datasets" / str(job.id) / "manifest.json").read_text())


def test_the_next_run_has_the_output_of_a_commit_that_never_came(job: Job, db: Session, data_dir: Path) -> None:
    take_over(job)
    output_of(job)
    with commits_fail(db), pytest.raises(DBAPIError, match="no commit today"):
        outputs.commit(job, {}, folder_of(job))
    second = lose(job)
    take_over(second)
    assert (folder_of(second) / "output" / "manifest.json").is_file()
    assert not (data_dir / "datasets" / str(job.id)).exists()


# ---- what is left


def test_nothing_is_left_of_a_job_that_has_ended(job: Job, db: Session, data_dir: Path) -> None:
    take_over(job)
    state_of(job, 3)
    (data_dir / "datasets" / str(job.id)).mkdir(parents=True)  # of a commit that never came
    sweep()
    assert folder_of(job).is_dir(), "it runs"
    fail(job, "nan_loss")
    sweep()
    assert list((data_dir / "runs").iterdir()) == list((data_dir / "datasets").iterdir()) == []
    assert db.scalars(select(TrainingState)).all() == []


def test_a_succeeded_jobs_dataset_stays(job: Job, data_dir: Path) -> None:
    take_over(job)
    output_of(job)
    outputs.commit(job, {}, folder_of(job))
    sweep()
    assert list((data_dir / "runs").iterdir()) == []
    assert (data_dir / "datasets" / str(job.id) / "manifest.json").is_file()


def test_a_quarantined_job_keeps_its_state_for_its_release(job: Job) -> None:
    for _ in range(jobs.MAX_LOST - 1):
        take_over(job)
        job = lose(job)
    take_over(job)
    state_of(job, 3)
    with session_scope() as session:
        assert jobs.lose(session, job.id, job.fence, {"reason": "the test"}).state == "quarantined"
    sweep()
    assert (folder_of(job) / "state" / "step_3").is_dir()


def test_the_retry_of_what_failed_on_a_full_disk_goes_on_from_its_state(job: Job, db: Session, data_dir: Path) -> None:
    take_over(job)
    state_of(job, 3)
    output_of(job)
    run_folder.make_room(folder_of(job))
    fail(job, "disk_full")
    sweep()
    assert [p.name for p in folder_of(job).iterdir()] == ["state"]
    again = claim(submit(parent_id=job.id))
    take_over(again)
    assert (folder_of(again) / "state" / "step_3").is_dir()
    assert [row.job_id for row in db.scalars(select(TrainingState))] == [again.id]
    db.commit()
    sweep()
    assert [p.name for p in (data_dir / "runs").iterdir()] == [str(again.id)]


def test_the_retry_of_what_was_cancelled_goes_on_from_its_state(job: Job, db: Session, data_dir: Path) -> None:
    take_over(job)
    state_of(job, 3)
    cancel(job)
    sweep()
    again = claim(submit(parent_id=job.id))
    take_over(again)
    assert (folder_of(again) / "state" / "step_3").is_dir()
    assert [row.job_id for row in db.scalars(select(TrainingState))] == [again.id]
    db.commit()
    cancel(again)
    db.execute(update(Job).values(finished_at=Job.finished_at - timedelta(days=1000)))
    db.commit()
    sweep()
    assert list((data_dir / "runs").iterdir()) == [], "nobody has gone on from it for long"


def test_folders_of_other_names_are_left_alone(job: Job, data_dir: Path) -> None:
    (data_dir / "runs" / "notes").mkdir(parents=True)
    sweep()
    assert (data_dir / "runs" / "notes").is_dir()


def test_a_kind_that_is_not_installed_any_more_keeps_no_sweep_from_the_others(job: Job, data_dir: Path) -> None:
    take_over(job)
    other = claim(submit())
    take_over(other)
    with session_scope() as session:
        session.execute(update(Job).where(Job.id == job.id).values(kind="gone.kind"))
    fail(job, "invalid_input")
    fail(other, "invalid_input")
    sweep()
    assert not list((data_dir / "runs").iterdir())


def test_a_job_of_a_kind_that_is_not_installed_says_so(db: Session, data_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"kind 'gone.kind' is not installed on this worker; it has dataset.import"):
        outputs.input_folders({"kind": "gone.kind"})
