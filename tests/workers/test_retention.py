"""What is past its time goes, and nothing else: on a real database and a real data directory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from processes import until
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from terrarium.store import artifacts, events, jobs, plans
from terrarium.store.db import session_scope
from terrarium.store.events import Event
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Asset, IdempotencyKey, Job, JobEvent, PlaySession, TrainingState
from terrarium.workers import retention
from terrarium.workers.retention import clean
from terrarium.workers.run_folder import folder_of, sweep, take_over
from terrarium.worlds.intake import new_draft

RECORD = {"kind": "dataset.record", "episodes": 2}
LONG_AGO = datetime.now(UTC) - timedelta(days=365)


@pytest.fixture(autouse=True)
def somewhere(db: Session, data_dir: Path) -> Iterator[None]:
    yield


def submit(**more: Any) -> Job:
    with session_scope() as session:
        return jobs.submit(session, RECORD, "cpu", **more)


def claim(job: Job) -> Job:
    with session_scope() as session:
        claimed = jobs.claim(session, job.id, "test", 60)
    assert claimed is not None
    return claimed


def failed(code: str = "internal_error", ended: datetime | None = None) -> Job:
    """With a training state of step 3."""
    job = claim(submit())
    take_over(job)
    (folder_of(job) / "state" / "step_3").mkdir(parents=True)
    (folder_of(job) / "state" / "step_3" / "weights").write_bytes(bytes(8192))
    with session_scope() as session:
        session.add(TrainingState(job_id=job.id, step=3, path="state/step_3", fence=job.fence))
        jobs.fail(session, job.id, job.fence, {"code": code, "message": ""})
        if ended:
            session.execute(update(Job).where(Job.id == job.id).values(finished_at=ended))
    return job


def states() -> list[UUID]:
    with session_scope() as session:
        return list(session.scalars(select(TrainingState.job_id)))


def files(heap: retention.Heap) -> set[str]:
    return set(heap.files)


# ---- run folders


def test_a_failed_jobs_state_is_kept_for_its_retry_and_then_goes() -> None:
    young, old, hopeless = failed(), failed(ended=LONG_AGO), failed("nan_loss")
    would = clean(remove=False)["run folders"]
    assert files(would) == {f"runs/{old.id}", f"runs/{hopeless.id}"} and would.size >= 2 * 8192
    assert folder_of(old).is_dir() and len(states()) == 3, "a dry run removes nothing"
    assert clean()["run folders"] == would
    assert [path.name for path in settings().runs_dir.iterdir()] == [str(young.id)]
    assert states() == [young.id]


def test_what_a_queued_retry_will_take_over_is_kept_however_old_it_is() -> None:
    old = failed(ended=LONG_AGO)
    retry = submit(parent_id=old.id)
    assert not clean()["run folders"].files
    again = claim(retry)
    assert not clean()["run folders"].files, "claimed, not taken over yet"
    take_over(again)
    clean()
    assert (folder_of(again) / "state" / "step_3" / "weights").is_file() and states() == [again.id]


def test_a_folder_that_is_being_taken_over_is_left_alone() -> None:
    old = failed(ended=LONG_AGO)
    with session_scope() as other:
        other.get_one(Job, old.id, with_for_update=True)
        assert not sweep() and folder_of(old).is_dir()
    assert sweep() and not folder_of(old).exists()


def test_a_retry_that_races_a_cleaning_has_all_of_the_state_or_none() -> None:
    def go_on(old: Job) -> Job:
        again = claim(submit(parent_id=old.id))
        take_over(again)
        return again

    with ThreadPoolExecutor(3) as pool:
        for _ in range(12):
            old = failed(ended=LONG_AGO)
            cleanings = [pool.submit(sweep) for _ in range(2)]
            again = pool.submit(go_on, old).result()
            for cleaning in cleanings:
                cleaning.result()
            kept = (folder_of(again) / "state" / "step_3" / "weights").is_file()
            assert states().count(again.id) == kept
            assert kept or not folder_of(old).exists()


def test_running_and_waiting_jobs_keep_all() -> None:
    running = claim(submit())
    take_over(running)
    ids = plans.new_ids(["walks", "model"])
    record = plans.NewStep("walks", RECORD, "cpu", "walks")
    model = plans.NewStep("model", {"kind": "world-model.train", "data": str(ids["walks"])}, "cpu", "model")
    with session_scope() as session:
        plans.submit(session, "", [record, model], ids)
        dataset = Asset(id=str(ids["walks"]), type="dataset", name="walks", manifest={})
        session.add(dataset)
    walks = settings().data_dir / "datasets" / str(ids["walks"])
    walks.mkdir(parents=True)
    clean()
    assert folder_of(running).is_dir() and walks.is_dir()


def test_what_a_killed_cleaning_left_goes_with_the_next() -> None:
    left = settings().runs_dir / ".gone-1"
    left.mkdir(parents=True)
    assert files(clean()["run folders"]) == {"runs/.gone-1"} and not left.exists()


def test_the_dispatcher_cleans_up(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from terrarium.workers import dispatcher  # needs REDIS_URL

    monkeypatch.setattr(dispatcher, "CLEAN_AFTER_S", 0.0)
    left = settings().runs_dir / ".gone-1"
    left.mkdir(parents=True)
    stop = threading.Event()
    leading = threading.Thread(target=dispatcher.lead, args=(stop,))
    leading.start()
    try:
        until(lambda: not left.exists())
    finally:
        stop.set()
        leading.join()


# ---- other files


def test_files_of_deleted_assets_and_drafts_without_owner_go(db: Session) -> None:
    deleted, kept = (str(uuid4()) for _ in range(2))
    db.add(Asset(id=deleted, type="dataset", name="", manifest={}, deleted_at=LONG_AGO))
    db.add(Asset(id=kept, type="dataset", name="", manifest={}))
    db.commit()
    for id in (deleted, kept):
        (settings().data_dir / "datasets" / id).mkdir(parents=True)
    with new_draft(settings().incoming_dir) as held:
        (settings().incoming_dir / "killed").mkdir()
        found = clean()
        assert files(found["broken uploads"]) == {"incoming/killed"} and held.is_dir()
    assert files(found["deleted assets"]) == {f"datasets/{deleted}"}
    assert [path.name for path in (settings().data_dir / "datasets").iterdir()] == [kept]


def test_recorded_play_stays_unless_a_limit_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, draft = (settings().plays_dir / name for name in ("1-old", "1-new", ".1-draft-000"))
    for folder in (old, new, draft):
        folder.mkdir(parents=True)
    for folder in (old, draft):
        os.utime(folder, (time.time() - 40 * 86400,) * 2)
    assert files(clean()["recorded play"]) == {"plays/.1-draft-000"}
    monkeypatch.setattr(settings(), "keep_plays_days", 30.0)
    with session_scope() as session:
        importing = jobs.submit(session, {"kind": "dataset.import-play", "plays": ["1-old"]}, "cpu")
    assert not clean()["recorded play"].files and old.is_dir(), "a job is to take it"
    with session_scope() as session:
        jobs.cancel(session, importing.id)
    assert files(clean()["recorded play"]) == {"plays/1-old"} and not old.exists() and new.is_dir()


def test_artifacts_whose_row_never_came_go_unless_all_are_strangers() -> None:
    job = submit()
    unlisted = artifacts.put(job.id, "a.txt", "text/plain", b"lost")
    file = settings().artifacts_dir / str(unlisted.id)
    assert not clean()["unlisted artifacts"].files, "its transaction may be under way"
    os.utime(file, (time.time() - 2 * 86400,) * 2)
    assert not clean()["unlisted artifacts"].files, "none is known: perhaps it is another database's folder"
    with session_scope() as session:
        session.add(artifacts.put(job.id, "b.txt", "text/plain", b"kept"))
    assert files(clean()["unlisted artifacts"]) == {str(unlisted.id)} and not file.exists()
    assert len(list(settings().artifacts_dir.iterdir())) == 1


def test_of_replaced_previews_the_newest_stays(db: Session) -> None:
    job = submit()
    for number in range(3):
        with session_scope() as session:
            row = artifacts.put(job.id, "sample", "image/png", b"%d" % number, role="preview")
            session.add(row)
            session.add(JobEvent(job_id=job.id, seq=number + 2, type="file", data={"id": str(row.id)}))
    assert not clean()["replaced previews"].files
    end(job)
    assert len(clean()["replaced previews"].files) == 2
    (newest,) = db.scalars(select(Artifact))
    assert (settings().artifacts_dir / str(newest.id)).read_bytes() == b"2"
    shown = db.scalars(select(JobEvent.data).where(JobEvent.type == "file")).all()
    assert shown == [{"id": str(newest.id)}] and len(list(settings().artifacts_dir.iterdir())) == 1


# ---- rows


def end(job: Job) -> None:
    with session_scope() as session:
        session.execute(update(Job).where(Job.id == job.id).values(state="succeeded", finished_at=LONG_AGO))


def test_events_of_old_jobs_shrink_to_their_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    old, open_ = submit(), submit()
    said = [Event("progress", {"step": i}) for i in range(7)] + [Event("checkpoint", {"step": 6})]
    for job in (old, open_):
        with session_scope() as session:
            events.append(session, job.id, 1 + len(said), said)
    end(old)
    assert clean(remove=False)["events"].rows == 7
    assert clean()["events"].rows == 7 and clean()["events"].rows == 0
    with session_scope() as session:
        assert [event.type for event in events.history(session, old.id, 0)] == ["state", "checkpoint"]
        assert len(session.scalars(select(JobEvent).where(JobEvent.job_id == open_.id)).all()) == 9


def test_old_sessions_and_keys_go(db: Session) -> None:
    job = submit()
    db.add(Asset(id="dream", type="world-model", name="", manifest={}))
    db.flush()
    for at in (LONG_AGO, datetime.now(UTC)):
        values = {"ticket_sha256": None, "ended_at": None, "world": None}
        db.add(PlaySession(checkpoint="dream", seed=1, created_at=at, **values))
        db.add(IdempotencyKey(key=str(at), body_sha256="", job_id=job.id, created_at=at))
    db.commit()
    found = clean()
    assert found["play sessions"].rows == found["idempotency keys"].rows == 1
    assert len(db.scalars(select(PlaySession)).all()) == len(db.scalars(select(IdempotencyKey)).all()) == 1
