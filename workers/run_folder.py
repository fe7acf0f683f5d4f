"""The scratch of a job's runs: runs/<job id>/<fence>, one folder for each run.

A run begins by renaming the folder of the run before it, and so finds its training states, episodes and log. A runner
of that earlier run that still lives, on a machine that was cut off, has lost its paths: what it writes from then on
fails or lands in a folder that is never read.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import Text, cast, delete, func, select, update
from sqlalchemy.orm import Session

from terrarium.store import jobs, shared
from terrarium.store.db import session_scope
from terrarium.store.disk import size_of
from terrarium.store.moves import TERMINAL
from terrarium.store.places import place
from terrarium.store.settings import settings
from terrarium.store.tables import Job, TrainingState
from terrarium.worlds.kinds import kinds

RETRIED = ("failed", "cancelled")  # the retry of such a job goes on from its newest state
HOPELESS = ("invalid_input", "nan_loss", "nan_reward")  # a retry from the same state fails again
GONE = ".gone-"  # begins the name of what is being removed


def folder_of(job: Job) -> Path:
    return _home(job.id) / str(job.fence)


def _home(job_id: UUID) -> Path:
    """Of all runs of a job; in the object store its training states, by their paths within a run."""
    return settings().runs_dir.resolve() / str(job_id)


def _homes(job: Job) -> list[Path]:
    """Of the job and of the one that it tries again."""
    return [_home(id) for id in (job.id, job.parent_id) if id is not None]


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
        _move_fetched(session, job, mine)
        for moved in _moved_outputs(job):  # by a run whose commit failed
            if not (mine / "output").exists():
                moved.rename(mine / "output")
        _sweep_states(session, job, mine)


def fetch_states(job: Job) -> None:
    """Brings the training states of its earlier runs on other machines to where `take_over` finds them. OSError."""
    if not shared.active():
        return
    with session_scope() as session:
        rows = session.scalars(select(TrainingState).where(TrainingState.job_id.in_([job.id, job.parent_id]))).all()
    for path in {row.path for row in rows}:
        if not any((run / path).is_dir() for home in _homes(job) for run in _runs(home)):
            any(shared.fetch(home / path) for home in _homes(job))


def share_state(job_id: UUID, run_dir: Path, state: Path) -> None:
    """Puts a training state where the next run finds it on any machine; what the run has removed goes there too.

    Takes as long as it is large. OSError, also where the run has removed it meanwhile.
    """
    home = _home(job_id)
    shared.stage(home / state.relative_to(run_dir), state).publish()
    for old in shared.published(home):
        if not (run_dir / old.relative_to(home)).is_dir():
            shared.forget(old)


def make_room(run_dir: Path) -> None:
    """Removes what a failed run has made, but its log and its training states, those of its stages too."""
    for path in run_dir.glob("*"):
        if path.name not in ("state", "runner.log") and not (path / "state").is_dir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def sweep(remove: bool = True) -> dict[Path, int]:
    """Removes the folders of jobs that have ended, but for the state that a retry goes on from, for as long as
    TERRARIUM_KEEP_FAILED_DAYS says -> {path: bytes} of what goes, or would if `remove` is false."""
    runs = settings().runs_dir
    found = {path: size_of(path) for path in runs.glob(f"{GONE}*")}  # of a sweep that was killed
    with session_scope() as session:
        folders = {folder.name for folder in runs.glob("*")}
        folders |= {state.relative_to(runs.resolve()).parts[0] for state in shared.published(runs)}
        ended = session.scalars(select(Job.id).where(cast(Job.id, Text).in_(folders), Job.state.in_(TERMINAL))).all()
    removable = list(found)
    try:
        for id in ended:
            with session_scope() as session:
                # Under its lock: no retry is submitted, and none takes the folder over.
                job = session.scalar(select(Job).where(Job.id == id).with_for_update(skip_locked=True))
                if job is None or _goes_on(session, job):
                    continue
                rubbish = [path for path in (runs / str(id), *_unfinished(job)) if path.is_dir()]
                found |= {path: size_of(path) for path in rubbish}
                if remove:
                    shared.forget(runs / str(id))
                    removable += [path.rename(runs / f"{GONE}{uuid4().hex}") for path in rubbish]
                    session.execute(delete(TrainingState).where(TrainingState.job_id == id))
    finally:  # without a lock, since it may take long; also where the disk is too full for a commit
        for path in removable if remove else ():
            shutil.rmtree(path, ignore_errors=True)
    return found


def _goes_on(session: Session, job: Job) -> bool:
    """Whether a retry may still take over what this job, which has ended, has left."""
    runs = _runs(settings().runs_dir / str(job.id))
    if job.state not in RETRIED or (job.error or {}).get("code") in HOPELESS:
        return False
    if not any(map(_states, runs)) and not shared.published(_home(job.id)):
        return False
    retries = select(Job.id).where(Job.parent_id == job.id, Job.state.not_in(TERMINAL))
    kept = func.clock_timestamp() - timedelta(days=settings().keep_failed_days)
    young = select(Job.id).where(Job.id == job.id, Job.finished_at > kept)
    return session.scalar(select(retries.exists() | young.exists())) is True


def _runs(folder: Path) -> list[Path]:
    """The folders of a job's runs, oldest first."""
    return sorted((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))


def _runs_of_ended(session: Session, retry: Job) -> list[Path]:
    """The folders of the job that `retry` tries again; its states become the retry's."""
    ended = session.get(Job, retry.parent_id, with_for_update=True) if retry.parent_id else None  # see `sweep`
    if ended is None or ended.state not in RETRIED or ended.config != retry.config:
        return []
    states = update(TrainingState).where(TrainingState.job_id == ended.id)
    session.execute(states.values(job_id=retry.id, fence=retry.fence))
    return _runs(folder_of(ended).parent)


def _moved_outputs(job: Job) -> list[Path]:
    """Where the end of a run moves its output (workers/outputs.py), if it is there."""
    if job.kind not in kinds():  # of a room that is not installed any more: what it makes is not known
        return []
    folder = place(kinds()[job.kind].makes, str(job.id))
    return [folder] if folder.is_dir() else []


def _unfinished(job: Job) -> list[Path]:
    """An output that was moved and never committed."""
    return [] if job.state == "succeeded" else _moved_outputs(job)


def _move_fetched(session: Session, job: Job, mine: Path) -> None:
    """States of runs on other machines, which `fetch_states` has brought here, into the folder of this run."""
    for path in session.scalars(select(TrainingState.path).where(TrainingState.job_id == job.id)).all():
        for home in _homes(job):
            if (home / path).is_dir() and not (mine / path).is_dir():
                (mine / path).parent.mkdir(parents=True, exist_ok=True)
                (home / path).rename(mine / path)
                (mine / path / shared.COPY).unlink()


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
