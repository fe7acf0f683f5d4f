"""When a queued job will start: from what runs, what is ahead of it, and how long jobs like those took here before.

The answer is `None` as soon as it would rest on a guess: no worker, or somebody ahead of whom nothing is known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from terrarium.store.tables import Job
from terrarium.worlds.kinds import kinds

LOOKED_AT = 50  # of a kind's newest jobs that succeeded


@dataclass(frozen=True)
class Desk:
    """A worker, and in how many seconds it is free; math.inf: nobody knows."""

    queues: frozenset[str]
    processes: int
    free_in_s: float


def starts(desks: Iterable[Desk], line: Sequence[tuple[str, int, float]]) -> list[float]:
    """For each of `line`, (queue, processes, seconds that it takes) in the order in which workers take them: in how
    many seconds it starts, at the latest if several workers may take it. math.inf where that is not known."""
    free = list(desks)
    found = []
    for queue, processes, seconds in line:
        able = [i for i, desk in enumerate(free) if queue in desk.queues and processes <= desk.processes]
        if not able:
            found.append(math.inf)
            continue
        i = min(able, key=lambda i: free[i].free_in_s)
        found.append(free[i].free_in_s)
        free[i] = replace(free[i], free_in_s=free[i].free_in_s + seconds)
    return found


class Durations:
    """How long jobs took here that differ from another in their inputs and seeds alone."""

    def __init__(self, session: Session, of: Collection[str]) -> None:
        self.took_s: dict[tuple[str, str], float] = {}
        for kind in of:
            for job in session.scalars(_succeeded(kind)):
                assert job.finished_at is not None and job.started_at is not None
                took_s = (job.finished_at - job.started_at).total_seconds()
                self.took_s.setdefault((kind, _alike(kind, job.config)), took_s)  # the newest of several

    def of(self, job: Job) -> float:
        """Seconds; math.inf where none like it has succeeded."""
        return self.took_s.get((job.kind, _alike(job.kind, job.config)), math.inf)

    def left(self, job: Job, now: datetime) -> float:
        """Seconds that a running job still takes: what it says itself, else what is usual."""
        eta_s = job.progress.get("eta_s")
        if eta_s is not None:
            return float(eta_s)
        ran_s = (now - job.started_at).total_seconds() if job.started_at else 0.0
        return max(0.0, self.of(job) - ran_s)


def _succeeded(kind: str) -> Any:
    """The newest jobs of a kind whose times say something."""
    done = (Job.kind == kind, Job.state == "succeeded", Job.started_at.is_not(None), Job.finished_at.is_not(None))
    statement = select(Job).where(*done).order_by(Job.created_at.desc()).limit(LOOKED_AT)
    return statement.options(load_only(Job.config, Job.started_at, Job.finished_at))


def _alike(kind: str, config: Mapping[str, Any]) -> str:
    other = {"seed", *kinds()[kind].inputs} if kind in kinds() else {"seed"}
    return json.dumps({name: value for name, value in config.items() if name not in other}, sort_keys=True)


def now_of(session: Session) -> datetime:
    """The database's clock, which all times of jobs are from."""
    now = session.scalar(select(func.clock_timestamp()))
    assert now is not None
    return now
