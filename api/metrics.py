"""What Prometheus reads: counters of this gateway, and what the database and the disk say when it asks.

Names follow Prometheus: base units in the name, `_total` for what only grows.
"""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from terrarium.api.catalog import QUEUES
from terrarium.store import census, disk
from terrarium.store.db import session_scope
from terrarium.store.moves import STATES, TERMINAL
from terrarium.store.settings import settings

REQUESTS = Counter("terrarium_http_requests", "HTTP requests", ["method", "route", "status"])
SECONDS = Histogram("terrarium_http_request_seconds", "Time to the end of the answer", ["method", "route"])
CONTENT_TYPE = CONTENT_TYPE_LATEST
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WORKING = tuple(state for state in STATES if state not in TERMINAL)


def count(method: str, route: str, status: int, seconds: float) -> None:
    method = method if method in METHODS else "other"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)


def page() -> bytes:
    """All metrics as text. The database is asked once."""
    with session_scope() as session:
        found = census.take(session)
    platform = CollectorRegistry()
    platform.register(Platform(found, disk.free_bytes(settings().data_dir)))
    return generate_latest(REGISTRY) + generate_latest(platform)


class Platform(Collector):
    """Of a census (store/census.py), the same on every gateway; but for the free disk, which is this machine's."""

    def __init__(self, found: dict[str, Any], free_bytes: int) -> None:
        self.found, self.free_bytes = found, free_bytes

    def collect(self) -> Iterator[Metric]:
        yield from self._jobs()
        yield from self._queues()
        found = self.found
        step = GaugeMetricFamily(
            "terrarium_job_step_seconds", "Time of a step of a running job", labels=["kind", "job", "worker"]
        )
        for job in found["steps"]:
            step.add_metric([job["kind"], job["id"], job["worker"]], 1 / job["rate"])
        yield step
        yield _by_state("terrarium_workers", "Workers by what they do", ("busy", "idle", "gone"), found["workers"])
        states = ("pending", "delivered", "failed")
        yield _by_state("terrarium_webhook_deliveries", "Deliveries on record", states, found["deliveries"])
        outbox = found["outbox"]
        yield GaugeMetricFamily("terrarium_outbox_jobs", "Queued jobs not yet announced to workers", outbox["jobs"])
        yield GaugeMetricFamily("terrarium_outbox_lag_seconds", "Wait of the oldest of those", outbox["oldest_s"])
        yield GaugeMetricFamily("terrarium_disk_free_bytes", "Free under the data directory", self.free_bytes)
        yield GaugeMetricFamily("terrarium_disk_reserve_bytes", "TERRARIUM_RESERVE_MB", settings().reserve_bytes)

    def _jobs(self) -> Iterator[Metric]:
        states: Count[str] = Count()
        took = SummaryMetricFamily(
            "terrarium_job_run_seconds", "From start to end of jobs that ended", labels=["kind", "state"]
        )
        for lot in self.found["jobs"]:
            states[lot["state"]] += lot["jobs"]
            if lot["state"] in TERMINAL and lot["ended"]:
                took.add_metric([lot["kind"], lot["state"]], lot["ended"], lot["run_s"])
        yield _by_state("terrarium_jobs", "Jobs by state", STATES, states)
        yield took

    def _queues(self) -> Iterator[Metric]:
        depth: Count[tuple[str, str]] = Count()
        oldest_s = dict.fromkeys(QUEUES, 0.0)
        for lot in self.found["jobs"]:
            depth[lot["queue"], lot["state"]] += lot["jobs"]
            if lot["state"] == "queued":
                oldest_s[lot["queue"]] = max(oldest_s.get(lot["queue"], 0.0), lot["oldest_s"])
        jobs = GaugeMetricFamily("terrarium_queue_jobs", "Jobs that have not ended", labels=["queue", "state"])
        wait = GaugeMetricFamily("terrarium_queue_oldest_wait_seconds", "Of those queued", labels=["queue"])
        paused = GaugeMetricFamily("terrarium_queue_paused", "1: no job of it starts", labels=["queue"])
        for queue in sorted(oldest_s):
            for state in WORKING:
                jobs.add_metric([queue, state], depth[queue, state])
            wait.add_metric([queue], oldest_s[queue])
            paused.add_metric([queue], queue in self.found["paused"])
        yield from (jobs, wait, paused)


def _by_state(name: str, help: str, states: tuple[str, ...], counts: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, help, labels=["state"])
    for state in states:
        family.add_metric([state], counts.get(state, 0))
    return family
