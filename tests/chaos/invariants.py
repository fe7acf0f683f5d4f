"""What must hold whatever dies: each function names what it finds broken, in a line each; an empty list is good."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tests.chaos.record import Curve, Record

ENDED = ("succeeded", "failed", "cancelled")


def lost(record: Record) -> list[str]:
    """Every accepted job ends: as asked, or by the one failure that was provoked."""
    found = list(record.told.refusals)
    for key, ids in record.told.accepted.items():
        for id in ids:
            job = record.kept.jobs.get(id)
            if job is None:
                found.append(f"{key}: job {id} was accepted and is gone")
            elif job["state"] not in ENDED:
                found.append(f"{key}: job {id} is {job['state']}")
            elif job["state"] == "cancelled" and id not in record.told.cancels:
                found.append(f"{key}: job {id} was cancelled, and nobody asked for it")
            elif job["state"] == "failed" and not (record.disk_was_full and job["error"]["code"] == "disk_full"):
                found.append(f"{key}: job {id} failed: {job['error']['code']}: {job['error']['message']}")
    return found


def doubled(record: Record) -> list[str]:
    """A key makes one job, and a job is done once."""
    found = [f"{key}: made {len(ids)} jobs" for key, ids in record.told.accepted.items() if len(ids) > 1]
    keyed = set(record.kept.keys.values())
    for id, job in record.kept.jobs.items():
        if id not in keyed:
            found.append(f"job {id} belongs to no key")
        ends = [data["state"] for _, type, data in record.kept.events[id] if type == "state" and data["state"] in ENDED]
        if len(ends) > 1:
            found.append(f"job {id} ended {len(ends)} times: {ends}")
        successes = sum(run["state"] == "succeeded" for run in record.kept.runs.get(id, []))
        expected = int(job["state"] == "succeeded")
        if successes != expected:
            found.append(f"job {id} is {job['state']}, {successes} of its runs succeeded")
        if record.kept.assets.get(id, 0) != expected:
            found.append(f"job {id} is {job['state']} and made {record.kept.assets.get(id, 0)} assets")
    return found


def stale(record: Record) -> list[str]:
    """Nothing is written under an old fence: runs follow each other, metrics come from the one that holds the job."""
    found = []
    for id, job in record.kept.jobs.items():
        runs = record.kept.runs.get(id, [])
        if [run["fence"] for run in runs] != list(range(1, job["fence"] + 1)):
            found.append(f"job {id}: fences {[run['fence'] for run in runs]}, expected 1 to {job['fence']}")
        for before, after in pairwise(runs):
            if before["ended"] is None or before["ended"] > after["began"]:
                found.append(f"job {id}: run {after['fence']} began before run {before['fence']} had ended")
        found += [f"job {id}: {what}" for what in _out_of_turn(record.kept.events[id])]
    return found


def _out_of_turn(events: list[tuple[int, str, dict[str, Any]]]) -> list[str]:
    fence, state, found = 0, "", []
    for seq, type, data in events:
        if type == "state":
            state = data["state"]
            fence += state == "running"
        elif state not in ("running", "cancelling"):
            found.append(f"event {seq} ({type}) was written while it was {state}")
        if type == "metrics" and data["values"].get("fence", fence) != fence:
            found.append(f"event {seq} comes from run {data['values']['fence']:g}, while run {fence} held it")
    return found


def gaps(record: Record) -> list[str]:
    """Events are numbered without a gap; watchers got each but overtaken progress, in order, once."""
    found = []
    for id, job in record.kept.jobs.items():
        events = record.kept.events[id]
        if [seq for seq, _, _ in events] != list(range(1, job["last_seq"] + 1)):
            found.append(f"job {id}: {len(events)} events, numbered up to {job['last_seq']}")
        seen = record.told.watched.get(id)
        if seen is None:
            continue
        if any(a >= b for a, b in pairwise(seen)):
            found.append(f"job {id}: a watcher got events out of order or twice")
        missed = {seq for seq, type, _ in events if type != "progress"} - set(seen)
        if missed:
            found.append(f"job {id}: a watcher never got events {sorted(missed)[:5]}")
    return found


def curve_mismatches(record: Record) -> list[str]:
    """A job that was interrupted has the metrics of one that was not, bit for bit. A tokenizer is validated whenever
    its state is saved, at steps that the clock chooses: those values are compared where both have them."""
    found = []
    for id, job in record.kept.jobs.items():
        reference = record.references.get(json.dumps(job["config"], sort_keys=True))
        if job["state"] != "succeeded" or reference is None:
            continue
        curve = _without_fence(record.kept.curves.get(id, {}))
        for key in sorted(reference.keys() | curve.keys()):
            expected, points = reference.get(key, {}), curve.get(key, {})
            by_clock = key.startswith("val_")
            steps = expected.keys() & points.keys() if by_clock else expected.keys() | points.keys()
            wrong = [s for s in sorted(steps) if expected.get(s) != points.get(s)]
            if wrong:
                first = wrong[0]
                what = f"{points.get(first)!r} at step {first}, expected {expected.get(first)!r}"
                found.append(f"job {id} ({job['kind']}): {key} is {what} ({len(wrong)} steps differ)")
    return found


def _without_fence(curve: Curve) -> Curve:
    return {key: points for key, points in curve.items() if key != "fence"}


def wrong_hashes(record: Record) -> list[str]:
    """An artifact's bytes are there, and are what its row says."""
    stored = record.kept.hashes
    return [
        f"artifact {id}: sha256 {stored.get(id, 'of nothing: its bytes are gone')}, expected {sha256}"
        for id, sha256 in record.kept.artifacts.items()
        if stored.get(id) != sha256
    ]


def orphans(record: Record) -> list[str]:
    """No process, file or session outlives its owner."""
    return [*record.orphans, *(f"play session {id} is open" for id in record.kept.open_sessions)]


INVARIANTS: dict[str, Callable[[Record], list[str]]] = {
    "lost": lost,
    "doubled": doubled,
    "stale": stale,
    "gaps": gaps,
    "orphans": orphans,
    "curve_mismatches": curve_mismatches,
    "wrong_hashes": wrong_hashes,
}
