"""A job's history: gapless rows in `job_events`, announced by NOTIFY in the transaction that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import String, func, insert, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from terrarium.store.tables import JobEvent

CHANNEL = "job_events"  # payload: the job's id


class Event(NamedTuple):
    type: str
    data: dict[str, Any]


class Numbered(NamedTuple):
    seq: int
    type: str
    data: dict[str, Any]


def append(session: Session, job_id: UUID, last_seq: int, events: Sequence[Event]) -> None:
    """Writes `events` as the numbers that end with `last_seq`.

    The caller has just added len(events) to jobs.last_seq: that row's lock makes the numbers gapless.
    """
    first = last_seq - len(events) + 1
    rows = [{"job_id": job_id, "seq": seq, **event._asdict()} for seq, event in enumerate(events, first)]
    session.execute(insert(JobEvent), rows)
    session.execute(select(func.pg_notify(CHANNEL, str(job_id))))


def append_to_each(session: Session, new: Sequence[tuple[UUID, int, Event]]) -> None:
    """Writes an event of each of several jobs: (job, its number, the event)."""
    if new:
        rows = [{"job_id": id, "seq": seq, **event._asdict()} for id, seq, event in new]
        session.execute(insert(JobEvent), rows)
        ids = func.unnest(literal([str(id) for id, _, _ in new], ARRAY(String)))
        session.execute(select(func.pg_notify(CHANNEL, ids)))


def history(session: Session, job_id: UUID, after: int, limit: int = 500) -> list[Numbered]:
    """Events with seq > after, oldest first, without the progress that a later progress has overtaken."""
    later = (JobEvent.job_id == job_id, JobEvent.seq > after)
    newest = select(func.max(JobEvent.seq)).where(*later, JobEvent.type == "progress").scalar_subquery()
    statement = (
        select(JobEvent.seq, JobEvent.type, JobEvent.data)
        .where(*later, or_(JobEvent.type != "progress", JobEvent.seq == newest))
        .order_by(JobEvent.seq)
        .limit(limit)
    )
    return [Numbered(*row) for row in session.execute(statement)]
