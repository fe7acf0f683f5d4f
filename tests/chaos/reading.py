"""The database and the disk when everything is over, as a `Kept`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.chaos.record import Curve, Kept

Query = Callable[[str], list[dict[str, Any]]]
SECONDS = "extract(epoch from {})::float8"


def read(query: Query, hashes: dict[str, str]) -> Kept:
    """`query`: SQL -> rows, all of whose values are plain JSON."""
    kept = Kept(hashes=hashes)
    for row in query(
        "SELECT id::text AS id, kind, config, state, error, fence, last_seq FROM jobs ORDER BY created_at"
    ):
        kept.jobs[row["id"]] = row
        kept.events[row["id"]] = []
    for row in query("SELECT key, job_id::text AS job FROM idempotency_keys"):
        kept.keys[row["key"]] = row["job"]
    began, ended = SECONDS.format("started_at"), SECONDS.format("finished_at")
    for row in query(
        f"SELECT job_id::text AS job, fence, state, {began} AS began, {ended} AS ended FROM runs ORDER BY job_id, fence"
    ):
        kept.runs.setdefault(row["job"], []).append(row)
    for row in query("SELECT job_id::text AS job, seq, type, data FROM job_events ORDER BY job_id, seq"):
        kept.events[row["job"]].append((row["seq"], row["type"], row["data"]))
    curves: dict[str, Curve] = defaultdict(lambda: defaultdict(dict))
    for row in query("SELECT job_id::text AS job, key, step, value FROM metrics"):
        curves[row["job"]][row["key"]][row["step"]] = row["value"]
    kept.curves = dict(curves)
    for row in query("SELECT made_by::text AS job, count(*) AS n FROM assets WHERE made_by IS NOT NULL GROUP BY 1"):
        kept.assets[row["job"]] = row["n"]
    for row in query("SELECT id::text AS id, sha256 FROM artifacts"):
        kept.artifacts[row["id"]] = row["sha256"]
    kept.open_sessions = open_sessions(query)
    return kept


def open_sessions(query: Query) -> list[str]:
    return [row["id"] for row in query("SELECT id::text AS id FROM play_sessions WHERE ended_at IS NULL")]
