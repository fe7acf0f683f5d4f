"""What `terrarium bench gateway` measures beside ours: FastAPI, SQLAlchemy and Celery put together as their tutorials
do. A request is one INSERT and one message, a page is found by OFFSET, and a watcher asks the database each second.

It checks the same config, and answers with the job, but it keeps no events, no outbox and no idempotency keys.

DATABASE_URL=postgresql://... REDIS_URL=redis://... uvicorn --factory terrarium.cli.bench_alternative:make_app
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from celery import Celery
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.concurrency import run_in_threadpool

from terrarium.store.db import sqlalchemy_url
from terrarium.store.settings import settings
from terrarium.worlds.episodes.kinds import RecordConfig

POLL_S = 1.0


class Base(DeclarativeBase):
    pass


class Job(Base):
    __tablename__ = "jobs"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str]
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(default="queued", index=True)
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class JobView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    kind: str
    config: dict[str, Any]
    state: str
    progress: dict[str, Any]
    created_at: datetime


def make_app() -> FastAPI:
    engine = create_engine(sqlalchemy_url(settings().database_url), pool_size=10, max_overflow=20)
    Base.metadata.create_all(engine)
    celery = Celery("alternative", broker=settings().broker_url)
    app = FastAPI()

    @celery.task(name="alternative.run_job", ignore_result=True)
    def run_job(job_id: str) -> None:
        """No worker takes it."""

    @app.post("/jobs", status_code=201)
    def submit(config: RecordConfig) -> JobView:
        with Session(engine) as session:
            job = Job(kind=config.kind, config=asdict(config))
            session.add(job)
            session.commit()
            run_job.delay(str(job.id))
            return JobView.model_validate(job)

    @app.get("/jobs")
    def list_jobs(state: str | None = None, kind: str | None = None, offset: int = 0) -> list[JobView]:
        statement = select(Job).order_by(Job.created_at.desc()).offset(offset).limit(50)
        if state is not None:
            statement = statement.where(Job.state == state)
        if kind is not None:
            statement = statement.where(Job.kind == kind)
        with Session(engine) as session:
            return [JobView.model_validate(job) for job in session.scalars(statement)]

    def look(id: UUID) -> dict[str, Any]:
        with Session(engine) as session:
            job = session.get_one(Job, id)
            return {"state": job.state, "progress": job.progress}

    @app.get("/jobs/{id}/events")
    async def events(id: UUID) -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            seen = None
            while True:
                now = await run_in_threadpool(look, id)
                if now != seen:
                    yield f"data: {json.dumps(now)}\n\n"
                    seen = now
                await asyncio.sleep(POLL_S)

        return StreamingResponse(stream(), media_type="text/event-stream")

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "ok"}

    return app
