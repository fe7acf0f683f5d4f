"""Supervision with a stand-in for the recipe: how a run ends, and what becomes of its job."""

from __future__ import annotations

import errno
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from processes import until
from small_disk import fill, small_disk
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from terrarium.store import artifacts, dispatch, jobs
from terrarium.store.db import read_scope, session_scope
from terrarium.store.jobs import LeaseLost
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact, Asset, Job, JobEvent, Metric, Run, TrainingState
from terrarium.workers import outputs, process, supervisor
from terrarium.workers.run_folder import take_over
from terrarium.workers.supervisor import Supervisor

CONFIG = {"kind": "dataset.record", "episodes": 2}


class Bench:
    """Claims a job and runs it under a supervisor in this process; `script` is that of the fake runner."""

    def __init__(self, db: Session, script_path: Path) -> None:
        self.db, self.script_path = db, script_path
        self.drain = threading.Event()
        with session_scope() as session:
            self.id = jobs.submit(session, CONFIG, "cpu").id

    def script(self, *runs: dict[str, Any]) -> None:
        self.script_path.write_text(json.dumps(runs))

    def run(self) -> Job:
        """One run; returns the job after it."""
        self.claimed().run()
        return self.job()

    def claimed(self) -> Supervisor:
        with session_scope() as session:
            job = jobs.claim(session, self.id, "test", settings().lease_s)
        assert job is not None
        return Supervisor(job, self.drain)

    def in_thread(self) -> threading.Thread:
        """A run that goes on while the test acts; returns when the runner has made a step."""
        supervisor = self.claimed()
        thread = threading.Thread(target=supervisor.run, daemon=True)
        thread.start()
        until(lambda: self.job().progress)
        return thread

    def job(self) -> Job:
        with read_scope() as session:  # a transaction that is left open ends with the lease
            return session.get_one(Job, self.id)

    def events(self, type: str) -> list[dict[str, Any]]:
        rows = select(JobEvent.data).where(JobEvent.job_id == self.id, JobEvent.type == type)
        return list(self.db.scalars(rows.order_by(JobEvent.seq)))


@pytest.fixture
def bench(db: Session, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    script = data_dir / "script.json"
    monkeypatch.setenv("FAKE_SCRIPT", str(script))
    monkeypatch.setattr(process, "RUNNER", (sys.executable, str(Path(__file__).with_name("fake_runner.py"))))
    return Bench(db, script)


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setenv("TERRARIUM_LEASE_S", "1.5")
    monkeypatch.setenv("TERRARIUM_HEARTBEAT_S", "0.4")
    settings.cache_clear()


def test_a_result_becomes_a_dataset(bench: Bench, data_dir: Path) -> None:
    bench.script({"steps": 3, "state_at": 2})
    job = bench.run()
    assert (job.state, job.attempt, job.result) == ("succeeded", 1, {"episodes": 1, "nan": None})
    assert job.progress["step"] == 3
    assert (data_dir / "datasets" / str(job.id) / "manifest.json").is_file()
    dataset = bench.db.get(Asset, str(job.id))
    assert dataset is not None and dataset.manifest == {"made_by": "fake", "inputs": {}}
    metrics = bench.db.execute(select(Metric.key, Metric.step, Metric.value).order_by(Metric.step)).all()
    assert [tuple(m) for m in metrics] == [("loss", n, 1 / n) for n in (1, 2, 3)], "NaN has no row"
    assert bench.events("metrics")[0] == {"step": 1, "values": {"loss": 1.0, "bad": None}}
    assert [e["state"] for e in bench.events("state")] == ["queued", "running", "succeeded"]
    assert bench.events("log") == [{"line": "run 1 of dataset.record"}]
    assert bench.db.scalars(select(Artifact.name)).all() == ["runner.log"]
    assert bench.db.scalars(select(Run.state)).all() == ["succeeded"]


def test_a_connection_cut_before_the_runner_begins_fails_no_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def cut(job: Job) -> None:
        calls.append(job.id)
        if len(calls) == 1:
            with session_scope() as session:  # in use, so that no ping finds out before
                bench.db.scalar(select(func.pg_terminate_backend(session.scalar(select(func.pg_backend_pid())))))
                session.scalar(select(1))
        take_over(job)

    monkeypatch.setattr(supervisor, "take_over", cut)
    bench.script({"steps": 1})
    job = bench.run()
    assert (job.state, job.attempt, len(calls)) == ("succeeded", 1, 2)


def test_files_of_any_kind_are_kept_with_their_role(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MAX_BYTES", 5000)
    files = {
        "world.glb": [9, "result"],
        "clip.mp4": [5001, "result"],
        "odd.bin": [3, "preview"],
        "a.png": [4, "preview"],
    }
    bench.script({"steps": 1, "files": files})
    job = bench.run()
    assert job.state == "succeeded"
    rows = bench.db.scalars(select(Artifact).where(Artifact.role != "log").order_by(Artifact.name)).all()
    assert [(r.name, r.media_type, r.caption, r.role, r.size) for r in rows] == [
        ("a.png", "image/png", "a preview", "preview", 4),
        ("world.glb", "model/gltf-binary", "a result", "result", 9),
    ]
    assert {e["name"]: e["id"] for e in bench.events("file")} == {r.name: str(r.id) for r in rows}
    log = [e["line"] for e in bench.events("log")]
    assert "file 'clip.mp4' is left out: it has 5.0 kB, expected at most 5.0 kB" in log
    assert "preview 'odd.bin' is left out: .bin, expected a picture" in log


def test_an_error_fails_at_once(bench: Bench) -> None:
    bench.script({"end": "error"})
    job = bench.run()
    assert (job.state, job.error) == ("failed", {"code": "nan_loss", "message": "loss is nan: lower lr"})


def test_a_full_disk_is_an_end_that_says_what_to_remove(bench: Bench, data_dir: Path) -> None:
    (data_dir / "plays").mkdir()
    (data_dir / "plays" / "one").write_bytes(bytes(700_000))
    bench.script({"end": "disk_full"})
    job = bench.run()
    assert job.state == "failed" and job.error is not None and job.error["code"] == "disk_full"
    message = job.error["message"]
    assert message.startswith(f"the disk filled up; {data_dir} has ") and "largest there: plays 70" in message
    assert not (data_dir / "runs" / str(job.id)).exists(), "what failed is removed"
    assert bench.db.scalars(select(Artifact.name)).all() == ["runner.log"]


def test_an_output_that_cannot_be_kept_is_a_full_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "commit", full)
    bench.script({"steps": 1})
    job = bench.run()
    assert job.state == "failed" and job.error is not None and job.error["code"] == "disk_full"


def test_a_runner_that_a_full_disk_killed_is_not_run_again(bench: Bench, data_dir: Path) -> None:
    """SIGBUS, where a page of a memory map cannot be written."""
    with small_disk(data_dir / "runs", 2) as disk:
        fill(disk)
        bench.script({"end": "kill", "steps": 1})
        job = bench.run()
    assert job.state == "failed" and job.error is not None and job.error["code"] == "disk_full"
    assert job.error["message"].startswith("the runner was ended by ")


def test_missing_input_fails_without_a_runner(bench: Bench) -> None:
    with session_scope() as session:
        config = {"kind": "tokenizer.train", "data": str(bench.id)}
        bench.id = jobs.submit(session, config, "gpu.train").id
    job = bench.run()
    assert job.state == "failed" and job.error is not None and job.error["code"] == "invalid_input"
    assert "the files of dataset" in job.error["message"]


@pytest.mark.parametrize("end, signal, code", [("kill", "SIGKILL", -9), ("exit", None, 7)])
def test_a_runner_that_vanishes_is_quarantined_at_the_third_time(
    bench: Bench, end: str, signal: str | None, code: int
) -> None:
    bench.script({"end": end, "steps": 1})
    states = [bench.run().state for _ in range(3)]
    assert states == ["queued", "queued", "quarantined"]
    job = bench.job()
    assert job.error is not None and job.error["code"] == "worker_lost"
    evidence = job.error["evidence"]
    assert (evidence["signal"], evidence["exit_code"]) == (signal, code)
    assert evidence["log_tail"][-1] == "run 3 of dataset.record"
    assert (job.attempt, job.lost) == (0, 3)
    assert bench.db.scalars(select(Run.exit_code)).all() == [code] * 3


def test_resume_voids_the_metrics_and_states_past_the_newest_committed_state(bench: Bench, data_dir: Path) -> None:
    bench.script({"steps": 6, "state_at": 3, "kill_at": 5}, {"steps": 6})
    assert bench.run().state == "queued"
    steps = select(Metric.step).order_by(Metric.step)
    assert bench.db.scalars(steps).all() == [1, 2, 3, 4, 5]
    states = data_dir / "runs" / str(bench.id) / "1" / "state"
    (states / "step_000005").mkdir()  # complete on disk, but its row was never committed
    job = bench.run()
    assert job.state == "succeeded"
    assert bench.events("resumed") == [{"step": 3}]
    assert bench.db.scalars(steps).all() == [1, 2, 3, 4, 5, 6]
    again = [e["step"] for e in bench.events("metrics")]
    assert again == [1, 2, 3, 4, 5, 4, 5, 6]
    assert bench.db.scalars(select(TrainingState)).all() == []


def test_cancel_is_heard_and_obeyed(bench: Bench) -> None:
    bench.script({"steps": 1000, "pause_s": 0.02})
    thread = bench.in_thread()
    started = time.monotonic()
    with session_scope() as session:
        jobs.cancel(session, bench.id)
    thread.join(5)
    assert bench.job().state == "cancelled"
    assert time.monotonic() - started < 2


def test_a_deaf_runner_is_killed_after_its_grace(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "CANCEL_GRACE_S", 0.5)
    bench.script({"steps": 1000, "pause_s": 0.02, "obeys": False})
    thread = bench.in_thread()
    with session_scope() as session:
        jobs.cancel(session, bench.id)
    thread.join(5)
    assert bench.job().state == "cancelled"


def test_the_commit_wins_over_a_cancel(bench: Bench) -> None:
    bench.script({"steps": 20, "pause_s": 0.05, "obeys": False})
    thread = bench.in_thread()
    with session_scope() as session:
        jobs.cancel(session, bench.id)
    thread.join(5)
    assert bench.job().state == "succeeded"


def test_drain_saves_and_queues_again_uncharged(bench: Bench) -> None:
    bench.script({"steps": 1000, "pause_s": 0.02}, {"steps": 50})
    thread = bench.in_thread()
    bench.drain.set()
    thread.join(5)
    job = bench.job()
    assert (job.state, job.attempt, job.lost) == ("queued", 0, 0)
    saved = bench.db.scalars(select(TrainingState.step)).one()
    bench.drain.clear()
    assert bench.run().state == "succeeded"
    assert bench.events("resumed") == [{"step": saved}]


def test_a_hanging_runner_is_killed_when_draining(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "DRAIN_GRACE_S", 0.5)
    bench.script({"steps": 1, "end": "hang"})
    thread = bench.in_thread()
    bench.drain.set()
    thread.join(5)
    assert (bench.job().state, bench.job().lost) == ("queued", 0)


def test_a_runner_that_reports_nothing_is_named_killed_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> Job:
        thread = bench.in_thread()
        monkeypatch.setenv("TERRARIUM_SILENCE_S", "0.5")
        settings.cache_clear()
        thread.join(60)
        return bench.job()

    bench.script({"steps": 2, "end": "hang"})
    job = run()
    assert (job.state, job.attempt, job.lost) == ("retry_wait", 1, 0)
    assert job.error is not None and job.error["code"] == "hung"
    assert "nothing for 0.5 s (TERRARIUM_SILENCE_S), last at step 2 of 2 (fake)" in job.error["message"]
    assert any(line.endswith(" in end") for line in job.error["evidence"]["log_tail"]), "where it hung"
    for state in ("retry_wait", "failed"):
        with session_scope() as session:
            session.execute(update(Job).values(retry_at=func.clock_timestamp()))
            assert len(dispatch.queue_due_retries(session)) == 1
        assert run().state == state
    assert bench.db.scalars(select(Run.state)).all() == ["failed"] * 3


@pytest.mark.usefixtures("short_leases")
def test_the_lease_is_renewed_for_as_long_as_it_takes(bench: Bench) -> None:
    bench.script({"steps": 30, "pause_s": 0.1})
    thread = bench.in_thread()
    while thread.is_alive():
        with session_scope() as session:
            assert dispatch.expire_leases(session) == []
        time.sleep(0.1)
    assert bench.job().state == "succeeded"


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_without_a_database_the_runner_is_dead_before_its_lease_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def down(*_: Any) -> Any:
        time.sleep(3.0 if how == "hangs" else 0.0)
        raise OperationalError("-", {}, Exception("no route to host"))

    bench.script({"steps": 1000, "pause_s": 0.02})
    lost: list[bool] = []
    one = bench.claimed()

    def run() -> None:
        with pytest.raises(LeaseLost):
            one.run()
        lost.append(True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: bench.job().progress)
    for name in ("record", "heartbeat", "held_state"):
        monkeypatch.setattr(supervisor.jobs, name, down)
    assert one.process is not None
    until(one.process.ended, 5)
    with read_scope() as session:
        left = session.scalar(text("SELECT lease_until > clock_timestamp() FROM jobs"))
    assert left, "another worker could have started already"
    thread.join(10)
    assert lost == [True]


def test_a_taken_job_is_left_alone(bench: Bench) -> None:
    bench.script({"steps": 1000, "pause_s": 0.02})
    one = bench.claimed()
    ended: list[str] = []

    def run() -> None:
        try:
            one.run()
        except LeaseLost:
            ended.append("lost")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: bench.job().progress)
    with session_scope() as session:
        jobs.lose(session, bench.id, 1, {"reason": "the test"})
        assert jobs.claim(session, bench.id, "another", 60) is not None
    seq = bench.job().last_seq
    thread.join(5)
    assert ended == ["lost"] and bench.job().last_seq == seq


def test_nothing_of_ours_imports_torch() -> None:
    import subprocess

    code = (
        "import sys, terrarium.workers.supervisor, terrarium.workers.outputs;"
        "sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
