"""A worker shows that it lives by a lock in Postgres, which its connection holds and which ends with its process.

So the jobs of a killed worker are free after seconds, not after their lease (workers/dispatcher.py). The lock of a
worker that lives may be missing for a moment, while Postgres restarts: the worker takes it again, and the dispatcher
looks more than once. A machine that vanished without a word keeps its lock: then the lease decides.
"""

from __future__ import annotations

import logging
import threading
import time

import psycopg

from terrarium.store.db import connection_options
from terrarium.store.errors import Unavailable
from terrarium.store.jobs import WORKER_LOCKS

log = logging.getLogger("terrarium.worker")
RETRY_S = 0.5
TIMEOUT_S = 10.0


class Presence:
    """The lock of one worker. Shared, so that a new connection need not wait for the end of the old one."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.held = threading.Event()
        self.thread = threading.Thread(target=self._keep, daemon=True, name="presence")

    def announce(self) -> None:
        """Returns while the lock is held, and has it kept from now on; Unavailable where it cannot be had."""
        if self.thread.ident is None:
            self.thread.start()
        if not self.held.wait(TIMEOUT_S):
            raise Unavailable(f"worker {self.worker}: the database does not answer")

    def _keep(self) -> None:
        while True:
            try:
                self._hold()
            except psycopg.Error as e:
                log.warning("worker %s: its lock is gone, taking it again: %s", self.worker, e)
            finally:
                self.held.clear()
            time.sleep(RETRY_S)

    def _hold(self) -> None:
        """Until the connection ends, which raises."""
        with psycopg.connect(**connection_options(), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock_shared(%s, hashtext(%s))", [WORKER_LOCKS, self.worker])
            self.held.set()
            for _ in connection.notifies():
                pass
