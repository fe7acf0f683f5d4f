"""Idempotency keys: the same request with the same key, sent again, has been done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Header
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict
from terrarium.store.tables import IdempotencyKey, Job

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
T = TypeVar("T")


def once(
    key: str | None, body: dict[str, Any], make: Callable[[Session], Job], show: Callable[[Session, Job], T]
) -> tuple[T, bool]:
    """`make` in a transaction, unless the key has made a job of the same body -> what `show` says of the job, or of the
    one that was made then, and whether it is new. Conflict where the key was used for another body."""
    with session_scope() as session:
        if key is not None and (earlier := _job_of(session, key, body)) is not None:
            return show(session, earlier), False
        job = make(session)
        if key is None or _keep(session, key, body, job):
            return show(session, job), True
        session.rollback()  # the same key came in at the same time, and was first
    with session_scope() as session:
        earlier = _job_of(session, key, body)
        assert earlier is not None
        return show(session, earlier), False


def _job_of(session: Session, key: str, body: dict[str, Any]) -> Job | None:
    kept = session.get(IdempotencyKey, key)
    if kept is None:
        return None
    if kept.body_sha256 != _sha256(body):
        message = f"Idempotency-Key {key!r} was used for another request: take a new key for a new job"
        raise Conflict(message, code="idempotency_conflict")
    return session.get_one(Job, kept.job_id)


def _keep(session: Session, key: str, body: dict[str, Any], job: Job) -> bool:
    """False where the key is there already; waits for a transaction that is just writing it."""
    new = insert(IdempotencyKey).values(key=key, body_sha256=_sha256(body), job_id=job.id)
    statement = new.on_conflict_do_nothing().returning(IdempotencyKey.key)
    return session.execute(statement).scalar_one_or_none() is not None


def _sha256(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
