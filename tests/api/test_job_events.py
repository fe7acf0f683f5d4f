"""Who is woken for news of a job. What a stream then sends is in test_jobs.py."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from terrarium.api import job_events
from terrarium.api.job_events import Watch
from terrarium.store import jobs
from terrarium.store.events import Event


def test_news_whose_notification_was_lost_are_found(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look wakes whoever has not read the newest event of his job, or has lost the job, and nobody else."""
    monkeypatch.setattr(job_events, "LOOK_EVERY_S", 0.01)
    job = jobs.submit(db, {"kind": "dataset.record"}, "cpu")
    jobs.claim(db, job.id, "w", 60)
    jobs.record(db, job.id, 1, [Event("log", {"line": "hello"})])
    db.commit()

    async def woken() -> list[bool]:
        watch = Watch()
        with watch.of(job.id, 3) as knows_all, watch.of(job.id, 2) as behind, watch.of(uuid4(), 1) as without:
            looking = asyncio.create_task(watch._look())
            await behind.news.wait()
            await without.news.wait()
            looking.cancel()
            return [place.news.is_set() for place in (knows_all, behind, without)] + [len(watch.places) == 2]

    assert asyncio.run(woken()) == [False, True, True, True]
