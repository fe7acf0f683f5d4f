"""A worker shows that it lives by a lock in Postgres, which its connection holds and which ends with its process.

So the jobs of a killed worker are free after seconds, not after their lease (workers/dispatcher.py). The lock of a
worker that lives may be missing for a moment, while Postgres restarts: the worker takes it again, and the dispatcher
looks more than once. A machine that vanished without a word keeps its lock: then the lease decides.

By the same connection it says what people want to know of it: the queues that it serves, its memory, its disk.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence

import psycopg

from terrarium.store import disk
from terrarium.store.db import connect, connection_options
from terrarium.store.dispatch import WORKER_LOCKS
from terrarium.store.errors import Unavailable
from terrarium.store.settings import settings
from terrarium.workers.memory import resident_bytes

log = logging.getLogger("terrarium.worker")
RETRY_S = 0.5
TIMEOUT_S = 10.0
FORGET_AFTER = "1 day"  # a worker that ended without a word
DESCRIBE = """
INSERT INTO workers (name, host, queues, processes, memory_bytes, disk_free_bytes) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET queues = EXCLUDED.queues, memory_bytes = EXCLUDED.memory_bytes,
    disk_free_bytes = EXCLUDED.disk_free_bytes, seen_at = clock_timestamp()
"""


class Presence:
    """The lock of one worker. Shared, so that a new connection need not wait for the end of the old one."""

    def __init__(self, worker: str, queues: Callable[[], Sequence[str]]) -> None:
        self.worker, self.queues = worker, queues
        self.held = threading.Event()
        self.thread = threading.Thread(target=self._keep, daemon=True, name="presence")

    def begin(self) -> None:
        """Has the lock taken and kept from now on."""
        if self.thread.ident is None:
            self.thread.start()

    def end(self) -> None:
        """The worker leaves the list."""
        try:
            with connect() as connection:
                connection.execute("DELETE FROM workers WHERE name = %s", [self.worker])
        except psycopg.Error as e:
            log.warning("worker %s stays in the list: %s", self.worker, e)

    def announce(self) -> None:
        """Returns while the lock is held; Unavailable where it cannot be had."""
        self.begin()
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
            connection.execute("DELETE FROM workers WHERE seen_at < clock_timestamp() - %s::interval", [FORGET_AFTER])
            while True:
                self._describe(connection)
                for _ in connection.notifies(timeout=settings().heartbeat_s):
                    pass

    def _describe(self, connection: psycopg.Connection) -> None:
        free = disk.free_bytes(settings().data_dir)
        able = [list(self.queues()), settings().processes]
        connection.execute(DESCRIBE, [self.worker, socket.gethostname(), *able, resident_bytes(), free])
