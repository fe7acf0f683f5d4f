"""What the rows say of the whole platform at one moment, in one statement: for /metrics.

Jobs are read once, in one pass over the table; all else is a few rows, or comes from an index.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from terrarium.store.moves import HELD
from terrarium.store.settings import settings

MISSED = 3  # heartbeats after which a worker is gone

CENSUS = text("""
WITH at AS MATERIALIZED (SELECT clock_timestamp() AS now),
lots AS (
    SELECT kind, queue, state, count(*) AS jobs,
        count(*) FILTER (WHERE started_at IS NOT NULL AND finished_at IS NOT NULL) AS ended,
        coalesce(extract(epoch FROM sum(finished_at - started_at)), 0) AS run_s,
        extract(epoch FROM (SELECT now FROM at) - min(queued_at)) AS oldest_s
    FROM jobs GROUP BY kind, queue, state
),
held AS (
    SELECT jobs.id, jobs.kind, runs.worker, (jobs.progress ->> 'rate')::float8 AS rate
    FROM jobs JOIN runs ON runs.job_id = jobs.id AND runs.fence = jobs.fence WHERE jobs.state = ANY (:held)
),
desks AS (
    SELECT CASE WHEN seen_at <= (SELECT now FROM at) - :missed THEN 'gone'
        WHEN name IN (SELECT worker FROM held) THEN 'busy' ELSE 'idle' END AS state, count(*) AS n
    FROM workers GROUP BY 1
),
sendings AS (
    SELECT CASE WHEN due_at IS NOT NULL THEN 'pending' WHEN delivered_at IS NOT NULL THEN 'delivered'
        ELSE 'failed' END AS state, count(*) AS n
    FROM webhook_deliveries GROUP BY 1
)
SELECT json_build_object(
    'jobs', (SELECT coalesce(json_agg(lots), '[]') FROM lots),
    'steps', (SELECT coalesce(json_agg(held), '[]') FROM held WHERE rate > 0),
    'paused', (SELECT coalesce(json_agg(queue), '[]') FROM queue_pauses),
    'workers', (SELECT coalesce(json_object_agg(state, n), '{}') FROM desks),
    'deliveries', (SELECT coalesce(json_object_agg(state, n), '{}') FROM sendings),
    'outbox', (SELECT json_build_object('jobs', count(*), 'oldest_s',
        coalesce(extract(epoch FROM (SELECT now FROM at) - min(created_at)), 0)) FROM outbox)
)
""")


def take(session: Session) -> dict[str, Any]:
    """{jobs: [{kind, queue, state, jobs, ended, run_s, oldest_s}], steps: [{id, kind, worker, rate}], paused: [queue],
    workers: {busy, idle, gone}, deliveries: {pending, delivered, failed}, outbox: {jobs, oldest_s}}, of both
    counts only what is there.

    `ended` jobs have run for `run_s` seconds together; `rate` is in steps/s; `oldest_s`: seconds since the first
    was queued.
    """
    missed = timedelta(seconds=MISSED * settings().heartbeat_s)
    found: dict[str, Any] = session.execute(CENSUS, {"held": list(HELD), "missed": missed}).scalar_one()
    return found
