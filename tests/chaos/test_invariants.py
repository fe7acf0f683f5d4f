"""Each invariant finds what is planted for it, and nothing in a record that is sound."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import islice

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.invariants import INVARIANTS
from tests.chaos.record import Event, Kept, Record, Told
from tests.chaos.run import decks

CONFIG = {"kind": "chaos.tally", "seed": 1}


def sound() -> Record:
    """A job that lost its first run, went on in a second one, and succeeded."""
    states = ("queued", "running", "queued", "running")
    events: list[Event] = [(n, "state", {"state": state}) for n, state in enumerate(states, 1)]
    events.insert(2, (0, "metrics", {"step": 1, "values": {"loss": 0.5, "fence": 1}}))
    events += [(0, "progress", {"step": 2})]
    events += [(0, "metrics", {"step": 2, "values": {"loss": 0.25, "fence": 2}}), (0, "state", {"state": "succeeded"})]
    events = [(seq, type, data) for seq, (_, type, data) in enumerate(events, 1)]
    told = Told()
    told.accepted["key"].add("a")
    told.watched["a"] = [seq for seq, type, _ in events if type != "progress"]
    runs = [
        {"fence": 1, "state": "lost", "began": 1.0, "ended": 2.0},
        {"fence": 2, "state": "succeeded", "began": 3.0, "ended": 4.0},
    ]
    kept = Kept(
        jobs={"a": {"kind": "chaos.tally", "config": CONFIG, "state": "succeeded", "fence": 2, "last_seq": 8}},
        keys={"key": "a"},
        runs={"a": runs},
        events={"a": events},
        curves={"a": {"loss": {1: 0.5, 2: 0.25}, "val_psnr": {1: 19.0, 2: 20.0}, "fence": {1: 1.0, 2: 2.0}}},
        assets={"a": 1},
        artifacts={"picture": "abc"},
        hashes={"picture": "abc"},
    )
    reference = {"loss": {1: 0.5, 2: 0.25}, "val_psnr": {2: 20.0}}
    return Record(told, kept, {json.dumps(CONFIG, sort_keys=True): reference}, [])


def change(record: Record, **values: object) -> None:
    record.kept.jobs["a"] |= values


def fail(record: Record, code: str) -> None:
    change(record, state="failed", error={"code": code, "message": "as planted"})


def say_again(record: Record, type: str, **data: object) -> None:
    record.kept.events["a"].append((9, type, data))
    change(record, last_seq=9)


PLANTED: dict[str, tuple[str, Callable[[Record], object]]] = {
    "an accepted job is gone": ("lost", lambda r: r.told.accepted["other"].add("b")),
    "a job goes on for ever": ("lost", lambda r: change(r, state="running")),
    "a job was cancelled by nobody": ("lost", lambda r: change(r, state="cancelled")),
    "a job failed": ("lost", lambda r: fail(r, "internal_error")),
    "a job failed for a disk that was never full": ("lost", lambda r: fail(r, "disk_full")),
    "a client was refused": ("lost", lambda r: r.told.refusals.append("key: 422")),
    "a key made two jobs": ("doubled", lambda r: r.told.accepted["key"].add("b")),
    "a job without a key": ("doubled", lambda r: r.kept.keys.clear()),
    "two runs succeeded": ("doubled", lambda r: r.kept.runs["a"][0].update(state="succeeded")),
    "two ends": ("doubled", lambda r: say_again(r, "state", state="succeeded")),
    "two assets": ("doubled", lambda r: r.kept.assets.update(a=2)),
    "a metric of the first run in the second": ("stale", lambda r: r.kept.events["a"][6][2]["values"].update(fence=1)),
    "an event after the end": ("stale", lambda r: say_again(r, "log", line="still here")),
    "runs at the same time": ("stale", lambda r: r.kept.runs["a"][0].update(ended=3.5)),
    "a fence that no run had": ("stale", lambda r: change(r, fence=3)),
    "a missing event": ("gaps", lambda r: r.kept.events["a"].pop(2)),
    "an event that a watcher missed": ("gaps", lambda r: r.told.watched["a"].remove(4)),
    "an event that came twice": ("gaps", lambda r: r.told.watched["a"].insert(3, 3)),
    "a process that stayed": ("orphans", lambda r: r.orphans.append("process 7")),
    "a session that stayed": ("orphans", lambda r: r.kept.open_sessions.append("s")),
    "a step that was lost": ("curve_mismatches", lambda r: r.kept.curves["a"]["loss"].pop(2)),
    "a loss that is off in its last bit": (
        "curve_mismatches",
        lambda r: r.kept.curves["a"]["loss"].update({2: 0.25000000000000006}),
    ),
    "a validation that is off": ("curve_mismatches", lambda r: r.kept.curves["a"]["val_psnr"].update({2: 20.5})),
    "bytes that changed": ("wrong_hashes", lambda r: r.kept.hashes.update(picture="abd")),
    "bytes that are gone": ("wrong_hashes", lambda r: r.kept.hashes.clear()),
}


def test_a_sound_record_breaks_nothing() -> None:
    assert {name: check(sound()) for name, check in INVARIANTS.items()} == {name: [] for name in INVARIANTS}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(what: str) -> None:
    name, plant = PLANTED[what]
    record = sound()
    plant(record)
    assert len(INVARIANTS[name](record)) >= 1


def test_every_invariant_has_something_planted() -> None:
    assert {name for name, _ in PLANTED.values()} == set(INVARIANTS)


def test_a_disk_that_was_full_is_a_reason_to_fail() -> None:
    record = sound()
    record.disk_was_full = True
    fail(record, "disk_full")
    assert INVARIANTS["lost"](record) == []


def test_faults_are_drawn_evenly_and_by_the_seed() -> None:
    drawn = [list(islice(decks(random.Random(7), FAULTS), 2 * len(FAULTS))) for _ in range(2)]
    assert drawn[0] == drawn[1] != list(islice(decks(random.Random(8), FAULTS), 2 * len(FAULTS)))
    assert len(FAULTS) >= 20 and all(drawn[0].count(kind) == 2 for kind in FAULTS)
