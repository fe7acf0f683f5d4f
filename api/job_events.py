"""A job's events as Server-Sent Events: what has been, then what happens, until the job ends.

One connection a gateway listens to Postgres and wakes the streams whose job has news; a stream is a coroutine, which
reads nothing until then. Should a notification be lost, one query for all watched jobs finds out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from starlette.concurrency import run_in_threadpool

from terrarium.api.errors import DATABASE_DOWN
from terrarium.api.jobs import existing
from terrarium.store import events, moves
from terrarium.store.db import connection_options, session_scope
from terrarium.store.events import CHANNEL, Numbered
from terrarium.store.tables import Job

log = logging.getLogger("terrarium.gateway")
router = APIRouter(prefix="/v1", tags=["jobs"])
BATCH = 500
LOOK_EVERY_S = 5.0  # at the newest numbers of all watched jobs
Seq = Annotated[int, Query(ge=0, le=2**63 - 1)]


class Place:
    """How far somebody has read a job's events, and what wakes him."""

    def __init__(self, seq: int) -> None:
        self.seq, self.news = seq, asyncio.Event()


class Watch:
    """Wakes those who wait for news of a job."""

    def __init__(self) -> None:
        self.places: dict[UUID, set[Place]] = defaultdict(set)
        self.closing = False

    @contextmanager
    def of(self, job_id: UUID, seq: int) -> Iterator[Place]:
        place = Place(seq)
        self.places[job_id].add(place)
        try:
            yield place
        finally:
            self.places[job_id].discard(place)
            if not self.places[job_id]:
                del self.places[job_id]

    def wake(self, job_id: UUID) -> None:
        for place in self.places.get(job_id, ()):
            place.news.set()

    def wake_all(self) -> None:
        for job_id in list(self.places):
            self.wake(job_id)

    def close(self) -> None:
        """Ends every stream: a server that stops would wait for them."""
        self.closing = True
        self.wake_all()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._look())

    async def _listen(self) -> None:
        """Connects again whenever the connection is lost."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**connection_options(), autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self.wake_all()  # notifications sent in between are lost
                    async for notification in connection.notifies():
                        self.wake(UUID(notification.payload))
            except psycopg.OperationalError as e:
                log.warning("not listening: %s", e)
            await asyncio.sleep(1.0)

    async def _look(self) -> None:
        """Wakes those who have not read the newest event, and those whose job is gone."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            watched = list(self.places)
            try:
                now = await run_in_threadpool(newest, watched) if watched else {}
            except DATABASE_DOWN as e:
                log.warning("not looking: %s", e)
                continue
            for job_id in watched:
                for place in self.places.get(job_id, ()):
                    if place.seq != now.get(job_id):
                        place.news.set()


def newest(ids: Sequence[UUID]) -> dict[UUID, int]:
    """{job: number of its newest event}."""
    with session_scope() as session:
        statement = select(Job.id, Job.last_seq).where(Job.id == any_(literal(ids, ARRAY(Uuid))))
        return dict(session.execute(statement).all())


def start_after(
    id: UUID,
    after: Annotated[Seq, Query(description="events after this number")] = 0,
    last_event_id: Annotated[int, Header(ge=0, le=2**63 - 1, description="the same, from a browser")] = 0,
) -> int:
    """Where the stream starts. A dependency: it may still answer 404, or 204 where there is nothing left to say."""
    start = max(after, last_event_id)  # a browser that comes again still has its first address
    with session_scope() as session:
        job = existing(session, id)
        if job.state in moves.AT_REST and start >= job.last_seq:
            raise HTTPException(204)  # tells an EventSource not to come again
    return start


@router.get(
    "/jobs/{id}/events",
    response_class=EventSourceResponse,
    responses={204: {"description": "The job has ended, and you have all of its events"}},
)
async def stream_events(
    request: Request, id: UUID, seq: Annotated[int, Depends(start_after)]
) -> AsyncIterator[ServerSentEvent]:
    """`event` is the type (state, progress, metrics, preview, checkpoint, resumed, log), `id` the number. Progress
    that a later one has overtaken is left out of what has been."""
    watch: Watch = request.app.state.watch
    with watch.of(id, seq) as place:
        while not watch.closing:
            place.news.clear()
            batch, ended = await run_in_threadpool(read, id, place.seq)
            for event in batch:
                yield ServerSentEvent(id=str(event.seq), event=event.type, data=event.data)
                place.seq = event.seq
            if len(batch) == BATCH:
                continue
            if ended:
                return
            await place.news.wait()


def read(id: UUID, after: int) -> tuple[list[Numbered], bool]:
    """The next events, and whether they are the last. The state is read first: no event follows a state at rest."""
    with session_scope() as session:
        ended = existing(session, id).state in moves.AT_REST
        return events.history(session, id, after, BATCH), ended
