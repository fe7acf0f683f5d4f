"""A live session is open as long as its gateway holds it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from processes import until
from sqlalchemy import func, text
from sqlalchemy.orm import Session

from terrarium.store import live_sessions
from terrarium.store.db import session_scope
from terrarium.store.live_sessions import OpenSessions
from terrarium.store.tables import Asset, PlaySession

HOLDERS = (
    f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = {live_sessions.SESSION_LOCKS} AND granted"
)


def reserve(db: Session, minutes_ago: float) -> UUID:
    db.merge(Asset(id="model", type="world-model", name="", manifest={}, evaluation=None, made_by=None, size=1))
    db.flush()
    row = PlaySession(checkpoint="model", seed=1, world=None, key_id=None, ticket_sha256=None, ended_at=None)
    row.created_at = db.scalar(func.now()) - timedelta(minutes=minutes_ago)
    db.add(row)
    db.commit()
    return row.id


def unheld() -> set[UUID]:
    with session_scope() as session:
        return live_sessions.unheld(session)


def holders() -> set[int]:
    with session_scope() as session:
        return set(session.scalars(text(HOLDERS)))


def test_a_session_is_held_until_its_end_also_over_a_lost_connection(db: Session) -> None:
    id, young = reserve(db, 5), reserve(db, 0)
    held = OpenSessions()
    with held.holding(id):
        first = until(holders)
        assert unheld() == set()
        db.execute(func.pg_terminate_backend(next(iter(first))).select())
        db.commit()
        until(lambda: holders() - first)
        assert unheld() == set()
    until(lambda: unheld() == {id})
    assert young not in unheld()


def test_the_dispatcher_closes_what_nobody_holds_and_looks_more_than_once(db: Session, redis_url: str) -> None:
    from terrarium.workers import dispatcher  # which wants a Redis to be named

    id = reserve(db, 5)
    missed: dict[UUID, float] = {}
    dispatcher.look_after_sessions(missed)
    row = db.get_one(PlaySession, id, populate_existing=True)
    assert row.ended_at is None and set(missed) == {id}
    db.commit()
    missed[id] -= dispatcher.UNHELD_FOR_S
    dispatcher.look_after_sessions(missed)
    assert db.get_one(PlaySession, id, populate_existing=True).ended_at is not None
