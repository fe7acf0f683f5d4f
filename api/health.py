"""Is it alive, is it ready, what has it done: for supervisors, load balancers and Prometheus."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import text

from api import metrics
from store.broker import connect
from store.db import session_scope
from store.errors import Unavailable

log = logging.getLogger("terrarium.gateway")
router = APIRouter(tags=["health"])


class Live(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    database: bool = True
    redis: bool = True


@router.get("/health/live")
async def live() -> Live:
    """The process answers."""
    return Live()


@router.get("/health/ready")
def ready() -> Ready:
    """Postgres and Redis answer too; 503 names the one that does not."""
    down = [name for name, check in (("database", _database), ("redis", _redis)) if not _answers(name, check)]
    if down:
        raise Unavailable(f"no answer from: {', '.join(down)}", code="not_ready")
    return Ready()


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
