"""The dispatcher: carries queued jobs from Postgres to Celery and requeues those that lost their worker.

    python -m terrarium.workers.dispatcher

Any number may run; an advisory lock makes one the leader. It relays the outbox as soon as a NOTIFY says so, ends
the runs of dead workers and leases that ran out, wakes retries that are due, sends again what a dead Redis or a
dying worker has lost, delivers to webhooks (courier.py), and removes once an hour what is past its time (retention.py).
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection
from typing import TypeVar
from uuid import UUID

import psycopg
from kombu.exceptions import OperationalError as BrokerError
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from terrarium.store import dispatch, line, live_sessions, logs
from terrarium.store.broker import connect
from terrarium.store.db import Connection, session_scope
from terrarium.store.db import connect as connect_to_database
from terrarium.store.moves import OUTBOX_CHANNEL
from terrarium.store.settings import settings
from terrarium.workers import pulse
from terrarium.workers.celery_app import LOOK, app
from terrarium.workers.courier import Courier
from terrarium.workers.retention import clean_in_background

log = logging.getLogger("terrarium.dispatcher")
T = TypeVar("T", str, UUID)
LEADER_LOCK = 0x7E44A02  # any constant of our own
TICK_S = 0.5  # the longest wait before a stop takes effect
GATHER_S = 0.05  # after a relay: what is queued meanwhile shares the next
AHEAD = 200  # messages in a Celery queue: so many jobs can start before the next look
LOOK_EVERY_S = 2.0  # at leases, retries and lost messages
ABSENT_FOR_S = 4.0  # a worker whose lock was free at every look for this long is dead
UNHELD_FOR_S = 15.0  # the same of a live session, whose gateway may need longer after a restart of Postgres
LOST_AFTER_S = 5.0  # queued for this long and not in Redis: the message is lost
CLEAN_AFTER_S, CLEAN_EVERY_S = 300.0, 3600.0  # from the beginning of the leadership, and from then on


def main() -> None:
    logs.begin()
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    while not stop.is_set():
        pulse.beat()
        try:
            lead(stop)
        except (psycopg.OperationalError, DBAPIError, BrokerError, RedisError, OSError) as e:
            log.warning("starting over: %s", e)
            stop.wait(1.0)


def lead(stop: threading.Event) -> None:
    """Waits to become the leader, then works until `stop`. A lost connection ends the leadership: it raises."""
    with connect_to_database() as connection, connect() as redis:
        while connection.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone() != (True,):
            pulse.beat()
            beat()
            if stop.wait(TICK_S):
                return
        log.info("leading")
        connection.execute(f"LISTEN {OUTBOX_CHANNEL}")
        with Courier():
            work(connection, redis, stop)


def work(connection: Connection, redis: Redis, stop: threading.Event) -> None:
    """What the leader does, again and again."""
    look_at, missed, unheld = 0.0, dict[str, float](), dict[UUID, float]()
    clean_at = time.monotonic() + CLEAN_AFTER_S
    while not stop.is_set():
        pulse.beat()
        if time.monotonic() >= look_at:
            relay_outbox(redis)  # what came before we listened
            look_after_workers(missed)
            look_after_sessions(unheld)
            look_after_leases_and_retries()
            emit_lost(redis)
            beat()
            look_at = time.monotonic() + LOOK_EVERY_S
        if time.monotonic() >= clean_at:
            threading.Thread(target=clean_in_background, name="retention", daemon=True).start()
            clean_at = time.monotonic() + CLEAN_EVERY_S
        if list(connection.notifies(timeout=TICK_S, stop_after=1)):
            relay_outbox(redis)
            stop.wait(GATHER_S)


def beat() -> None:
    """Shows that the loop goes round: Postgres answers, and Redis where there was something to send."""
    if file := settings().heartbeat_file:
        file.touch()


def relay_outbox(redis: Redis) -> None:
    """Publishes, then commits: a crash between the two sends a message twice, which is harmless."""
    more = True
    while more:
        with session_scope() as session:
            batch, more = dispatch.take_outbox(session)
            for queue, count in Counter(queue for _, queue in batch).items():
                publish(queue, min(count, AHEAD - redis.llen(queue)))  # emit_lost sends the rest in time


def look_after_workers(missed: dict[str, float]) -> None:
    """Frees the jobs of killed workers."""
    with session_scope() as session:
        for worker in gone(dispatch.absent_workers(session), missed, ABSENT_FOR_S):
            for job in dispatch.lose_jobs_of(session, worker):
                with logs.about(job=job.id):
                    log.warning("job %s: worker %s is dead, now %s", job.id, worker, job.state)


def look_after_sessions(missed: dict[UUID, float]) -> None:
    """Closes the live sessions of killed gateways, and those whose ticket nobody used."""
    with session_scope() as session:
        ended = gone(live_sessions.unheld(session), missed, UNHELD_FOR_S)
        live_sessions.close(session, ended)
    if ended:
        log.info("%d live sessions closed: no gateway has them any more", len(ended))


def gone(free: Collection[T], missed: dict[T, float], for_s: float) -> list[T]:
    """Of those whose lock is free those that every look has found so `for_s` long. `missed`: since when, for each."""
    now = time.monotonic()
    for back in missed.keys() - set(free):
        del missed[back]
    return [one for one in free if now - missed.setdefault(one, now) >= for_s]


def look_after_leases_and_retries() -> None:
    with session_scope() as session:
        for job in dispatch.expire_leases(session):
            with logs.about(job=job.id):
                log.warning("job %s: lease expired, now %s", job.id, job.state)
        for job in dispatch.queue_due_retries(session):
            with logs.about(job=job.id):
                log.info("job %s: queued again", job.id)


def emit_lost(redis: Redis, older_than_s: float = LOST_AFTER_S) -> None:
    """Sends as many messages to each Celery queue as it lacks for the jobs queued in it, up to AHEAD. There were more
    jobs, Redis lost them, a worker died before its claim or took a job of another queue, or the queue was paused."""
    with session_scope() as session:
        queued = line.unannounced(session, older_than_s)
    for queue, count in queued.items():
        lacking = min(count, AHEAD) - redis.llen(queue)
        if lacking > 0:
            log.info("queue %s: sending %d messages again", queue, lacking)
            publish(queue, lacking)


def publish(queue: str, count: int) -> None:
    """So many messages; none if `count` is not positive."""
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            app.send_task(LOOK, queue=queue, retry=False, producer=producer)


if __name__ == "__main__":
    main()
