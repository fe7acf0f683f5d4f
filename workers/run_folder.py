"""The scratch of a job's runs: runs/<job id>/<fence>, one folder for each run.

A run begins by renaming the folder of the run before it, and so finds its training states, episodes and log. A runner
of that earlier run that still lives, on a machine that was cut off, has lost its paths: what it writes from then on
fails or lands in a folder that is never read.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Text, cast, delete, select, update
from sqlalchemy.orm import Session

from terrarium.store import jobs
from terrarium.store.db import session_scope
from terrarium.store.jobs import TERMINAL
from terrarium.store.places import place
from terrarium.store.settings import settings
from terrarium.store.tables import Job, TrainingState
from terrarium.worlds.kinds import kinds

RETRIED = ("disk_full", "out_of_memory")  # the machine's errors: the retry of such a job goes on from its state
STOPPED = timedelta(days=7)  # how long that of a cancelled one may


def folder_of(job: Job) -> Path:
    return settings().runs_dir.resolve() / str(job.id) / str(job.fence)


def take_over(job: Job) -> None:
    """Makes the folder of a job that we have claimed, out of what its earlier runs have left. Raises LeaseLost.

    The first run of a retry takes what the job before it has left.
    """
    mine = folder_of(job)
    with session_scope() as session:
        jobs.record(session, job.id, job.fence, [])  # locks the row: nobody else claims or commits meanwhile
        mine.parent.mkdir(parents=True, exist_ok=True)
        earlier = _runs(mine.parent) or _runs_of_ended(session, job)
        if earlier and earlier[-1] != mine:
            _move(earlier[-1], mine)
        for folder in earlier[:-1]:
            shutil.rmtree(folder, ignore_errors=True)
        mine.mkdir(exist_ok=True)
        for moved in _moved_outputs(job):  # by a run whose commit failed
            if not (mine / "output").exists():
                moved.rename(mine / "output")
        _sweep_states(session, job, mine)


def make_room(run_dir: Path) -> None:
    """Removes what a failed run has made, but its log and its training states, those of its stages too."""
    for path in run_dir.glob("*"):
        if path.name not in ("state", "runner.log") and not (path / "state").is_dir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def sweep() -> None:
    """Removes the folders of jobs that have ended, but for the states that a retry goes on from."""
    folders = {folder.name: folder for folder in settings().runs_dir.glob("*")}
    with session_scope() as session:
        ended = select(Job).where(cast(Job.id, Text).in_(folders), Job.state.in_(TERMINAL))
        for job in session.scalars(ended):
            folder = folders[str(job.id)]
            if _may_go_on(job) and any(map(_states, _runs(folder))):
                continue
            session.execute(delete(TrainingState).where(TrainingState.job_id == job.id))
            for rubbish in [folder] if job.state == "succeeded" else [folder, *_moved_outputs(job)]:
                shutil.rmtree(rubbish, ignore_errors=True)


def _runs(folder: Path) -> list[Path]:
    """The folders of a job's runs, oldest first."""
    return sorted((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))


def _may_go_on(job: Job) -> bool:
    """Whether a retry of the ended job would go on from where it was."""
    if job.state == "cancelled":
        return job.finished_at is None or datetime.now(UTC) - job.finished_at < STOPPED
    return job.state == "failed" and (job.error or {}).get("code") in RETRIED


def _runs_of_ended(session: Session, retry: Job) -> list[Path]:
    """The folders of the job that `retry` tries again; its states become the retry's."""
    ended = session.get(Job, retry.parent_id) if retry.parent_id else None
    if ended is None or ended.state not in ("failed", "cancelled") or ended.config != retry.config:
        return []
    states = update(TrainingState).where(TrainingState.job_id == ended.id)
    session.execute(states.values(job_id=retry.id, fence=retry.fence))
    return _runs(folder_of(ended).parent)


def _moved_outputs(job: Job) -> list[Path]:
    """Where the end of a run moves its output (workers/outputs.py), if it is there."""
    folder = place(kinds()[job.kind].makes, str(job.id))
    return [folder] if folder.is_dir() else []


def _states(run_dir: Path) -> list[Path]:
    """The training states of a run, and those of its stages."""
    return [*run_dir.glob("state/*"), *run_dir.glob("*/state/*")]


def _sweep_states(session: Session, job: Job, run_dir: Path) -> None:
    """Removes state folders whose row was never committed, and rows without folder."""
    rows = session.scalars(select(TrainingState).where(TrainingState.job_id == job.id)).all()
    committed = {run_dir / row.path for row in rows}
    for folder in _states(run_dir):
        if folder not in committed:
            shutil.rmtree(folder)
    for row in rows:
        if not (run_dir / row.path).is_dir():
            session.delete(row)


def _move(earlier: Path, mine: Path) -> None:
    earlier.rename(mine)
    log = mine / "runner.log"
    if log.is_file():  # the earlier runner may have it open: ours is another file
        copy = mine / "runner.log.copy"
        shutil.copyfile(log, copy)
        copy.replace(log)
