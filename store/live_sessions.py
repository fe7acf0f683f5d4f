"""Live sessions that are open: a lock in Postgres for each, which the connection of its gateway holds.

So the end of a gateway, however it dies, ends its sessions: the dispatcher finds their locks free. A gateway that lives
takes them again after a restart of Postgres; whoever looks does so more than once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import psycopg
from sqlalchemy import Text, cast, func, select, update
from sqlalchemy.orm import Session

from terrarium.store.db import connect
from terrarium.store.tables import PlaySession

log = logging.getLogger("terrarium.gateway")
SESSION_LOCKS = 0x7E44A04  # any constant of our own; a gateway holds (this, hash of the id) while a session is open
LOOK_EVERY_S = 5.0  # whether the connection still lives
RETRY_S = 0.5
UNUSED_S = 60.0  # after this a ticket that nobody used is no session: it was good for half as long


class OpenSessions:
    """Those of this process."""

    def __init__(self) -> None:
        self.ids: set[UUID] = set()
        self.changed = threading.Event()
        self.thread = threading.Thread(target=self._keep, daemon=True, name="open sessions")

    @contextmanager
    def holding(self, id: UUID) -> Iterator[None]:
        self.ids.add(id)
        self.changed.set()
        if self.thread.ident is None:
            self.thread.start()
        try:
            yield
        finally:
            self.ids.discard(id)
            self.changed.set()

    def _keep(self) -> None:
        while True:
            try:
                self._hold()
            except psycopg.Error as e:
                log.warning("the locks of live sessions are gone, taking them again: %s", e)
            time.sleep(RETRY_S)

    def _hold(self) -> None:
        """Until the connection ends, which raises."""
        held: set[UUID] = set()
        with connect() as connection:
            while True:
                self.changed.clear()
                wanted = set(self.ids)
                for id in wanted - held:
                    connection.execute("SELECT pg_advisory_lock_shared(%s, hashtext(%s))", [SESSION_LOCKS, str(id)])
                for id in held - wanted:
                    connection.execute("SELECT pg_advisory_unlock_shared(%s, hashtext(%s))", [SESSION_LOCKS, str(id)])
                held = wanted
                if not self.changed.wait(LOOK_EVERY_S):
                    connection.execute("SELECT 1")


def unheld(session: Session) -> set[UUID]:
    """Open sessions that no gateway holds: it is dead, or cut off for a moment, or the ticket was never used."""
    free = func.pg_try_advisory_xact_lock(SESSION_LOCKS, func.hashtext(cast(PlaySession.id, Text)))
    old = PlaySession.created_at < func.clock_timestamp() - timedelta(seconds=UNUSED_S)
    ids = session.scalars(select(PlaySession.id).where(PlaySession.ended_at.is_(None), old)).all()
    return set(session.scalars(select(PlaySession.id).where(PlaySession.id.in_(ids), free)))


def close(session: Session, ids: Collection[UUID]) -> None:
    still_open = (PlaySession.id.in_(ids), PlaySession.ended_at.is_(None))
    session.execute(update(PlaySession).where(*still_open).values(ended_at=func.clock_timestamp()))
