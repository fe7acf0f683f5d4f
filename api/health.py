"""Is it alive, is it ready, what has it done: for supervisors, load balancers and Prometheus."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import text

from terrarium.api import metrics
from terrarium.store import disk
from terrarium.store.broker import connect
from terrarium.store.db import session_scope
from terrarium.store.errors import Unavailable
from terrarium.store.settings import settings

log = logging.getLogger("terrarium.gateway")
router = APIRouter(tags=["health"])


class Live(BaseModel):
    status: Literal["ok"] = "ok"


class Disk(BaseModel):
    free_bytes: int
    reserve_bytes: int = Field(description="TERRARIUM_RESERVE_MB: with less than this free, readiness is red")


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    database: bool = True
    redis: bool = True
    disk: Disk


@router.get("/health/live")
async def live() -> Live:
    """The process answers."""
    return Live()


@router.get("/health/ready")
def ready() -> Ready:
    """Postgres and Redis answer too, and the disk has room for another job; 503 names what is amiss."""
    down = [name for name, check in (("database", _database), ("redis", _redis)) if not _answers(name, check)]
    amiss = [f"no answer from: {', '.join(down)}"] if down else []
    data_dir = settings().data_dir
    found = Disk(free_bytes=disk.free_bytes(data_dir), reserve_bytes=settings().reserve_bytes)
    if found.free_bytes < found.reserve_bytes:
        free, reserve = disk.human(found.free_bytes), disk.human(found.reserve_bytes)
        amiss.append(f"low disk: {data_dir} has {free} free, expected {reserve}")
    if amiss:
        raise Unavailable("; ".join(amiss), code="not_ready")
    return Ready(disk=found)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def prometheus() -> Response:
    """Counters in Prometheus' text format."""
    return Response(metrics.page(), media_type=metrics.CONTENT_TYPE)


def _answers(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception as e:  # whatever it is, the answer is "no"
        log.warning("%s: %s", name, e)
        return False
    return True


def _database() -> None:
    with session_scope() as session:
        session.execute(text("SELECT 1"))


def _redis() -> None:
    with connect() as redis:
        redis.ping()
