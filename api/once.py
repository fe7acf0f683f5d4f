"""Idempotency keys: the same request with the same key, sent again, has been done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from fastapi import Header
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict
from terrarium.store.tables import IdempotencyKey, Job

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
T = TypeVar("T")


class Use(NamedTuple):
    """What a key was used for."""

    body_sha256: str
    job_id: UUID


def once(
    key: str | None, body: dict[str, Any], make: Callable[[Session], Job], show: Callable[[Session, Job], T]
) -> tuple[T, bool]:
    """`make` in a transaction, unless the key has made a job of the same body -> what `show` says of the job, or of the
    one that was made then, and whether it is new. Conflict where the key was used for another body."""
    sha256 = sha256_of(body)
    with session_scope() as session:
        if key is not None and (use := used(session, [key]).get(key)) is not None:
            if use.body_sha256 != sha256:
                raise conflict(key)
            return show(session, session.get_one(Job, use.job_id)), False
        job = make(session)
        if key is None or keep(session, {key: Use(sha256, job.id)}):
            return show(session, job), True
        session.rollback()  # the same key came in at the same time, and was first
    return once(key, body, make, show)


def used(session: Session, keys: Collection[str]) -> dict[str, Use]:
    """What those of `keys` stand for that were used before."""
    if not keys:
        return {}
    statement = select(IdempotencyKey.key, IdempotencyKey.body_sha256, IdempotencyKey.job_id)
    rows = session.execute(statement.where(IdempotencyKey.key.in_(keys)))
    return {key: Use(sha256, job_id) for key, sha256, job_id in rows}


def is_used(key: str) -> bool:
    with session_scope() as session:
        return bool(used(session, [key]))


def keep(session: Session, uses: Mapping[str, Use]) -> bool:
    """False where one of the keys is there already. Waits for a transaction that is just writing it: in the order of
    the keys, so that no two wait for each other."""
    if not uses:
        return True
    rows = [{"key": key, **use._asdict()} for key, use in sorted(uses.items())]
    kept = session.scalars(insert(IdempotencyKey).on_conflict_do_nothing().returning(IdempotencyKey.key), rows)
    return len(kept.all()) == len(rows)


def conflict(key: str | None) -> Conflict:
    message = f"Idempotency-Key {key!r} was used for another request: take a new key for a new job"
    return Conflict(message, code="idempotency_conflict")


def sha256_of(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
