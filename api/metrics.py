"""Prometheus counters of the gateway, and the page that shows them."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select

from terrarium.store.db import session_scope
from terrarium.store.jobs import STATES
from terrarium.store.tables import Job

REQUESTS = Counter("terrarium_http_requests", "HTTP requests", ["method", "route", "status"])
SECONDS = Histogram("terrarium_http_request_seconds", "Time to the end of the answer", ["method", "route"])
JOBS = Gauge("terrarium_jobs", "Jobs by state", ["state"])
CONTENT_TYPE = CONTENT_TYPE_LATEST
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def count(method: str, route: str, status: int, seconds: float) -> None:
    method = method if method in METHODS else "other"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)


def page() -> bytes:
    """Jobs are counted in the database whenever metrics are read."""
    with session_scope() as session:
        rows = session.execute(select(Job.state, func.count()).group_by(Job.state)).all()
    for state in STATES:
        JOBS.labels(state).set(0)
    for state, n in rows:
        JOBS.labels(state).set(n)
    return generate_latest(REGISTRY)
