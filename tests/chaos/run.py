"""One chaos run: a calm one of every kind of work for reference, minutes of faults under clients, calm, judgement."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.clients import Clients, play
from tests.chaos.faults import Fault, Struck
from tests.chaos.invariants import ENDED, INVARIANTS
from tests.chaos.reading import open_sessions, read
from tests.chaos.record import Curve, Record, Told
from tests.processes import until

GAP_S = (2.0, 6.0)  # between two faults
CALM_S = 300.0  # for all that was accepted to end, once nothing dies any more
SESSION_S = 120.0  # for a session whose gateway was killed to be closed
TALLY = {"kind": "chaos.tally"}
RECORD = {"kind": "dataset.record", "episodes": 4, "steps": 32, "width": 32, "height": 32, "val_fraction": 0.25}


class Run:
    """`machine`: a Machine or Containers, which `faults` can strike."""

    def __init__(self, machine: Any, faults: dict[str, Fault], seed: int, minutes: float, evidence: Path) -> None:
        self.machine, self.faults = machine, faults
        self.seed, self.minutes, self.evidence = seed, minutes, evidence
        self.told, self.by_kind = Told(), Counter[str]()
        self.reference_ids: list[str] = []
        self.began = time.monotonic()

    def go(self) -> dict[str, Any]:
        """-> the object that the command prints."""
        self.machine.start()
        self.machine.wait_ready()
        try:
            clients = Clients(self.machine.url, self.machine.key, self.told, self.seed, self.calm_work())
            clients.start()
            self.strike(clients)
            self.calm_down(clients)
            record = self.record()
        finally:
            self.machine.keep_logs(self.evidence)
            self.machine.end()
            self.say("ended")
        record.orphans = list(self.machine.orphans)
        return self.judge(record)

    def say(self, line: str, **facts: Any) -> None:
        at = round(time.monotonic() - self.began, 1)
        with (self.evidence / "story.jsonl").open("a") as file:
            file.write(json.dumps({"at_s": at, "what": line} | facts) + "\n")

    # ---- before

    def calm_work(self) -> list[tuple[float, dict[str, Any]]]:
        """Submits one job of each config and waits for its undisturbed end -> (weight, config) for the clients."""
        headers = {"Authorization": f"Bearer {self.machine.key}"}
        with httpx.Client(base_url=f"{self.machine.url}/v1", headers=headers, timeout=30) as http:
            (dataset,) = self._undisturbed(http, [RECORD])
            train = http.get("/job-kinds").json()["tokenizer.train"]["presets"]["debug"]
            train |= {"data": dataset, "steps": 60, "checkpoint_every_s": 1.0}
            work = [
                (4.0, TALLY | {"seed": 1, "steps": 30}),
                (4.0, TALLY | {"seed": 2, "steps": 80, "pause_s": 0.05}),
                (2.0, TALLY | {"seed": 3, "steps": 400, "pause_s": 0.05, "save_every": 20}),
                (0.25, train | {"seed": 1}),
            ]
            self._undisturbed(http, [config for _, config in work])
        self.say("every kind of work was done once undisturbed")
        return work

    def _undisturbed(self, http: httpx.Client, configs: list[dict[str, Any]]) -> list[str]:
        ids: list[str] = []
        for config in configs:
            key = f"{self.seed}/reference/{len(self.reference_ids) + len(ids)}"
            answer = http.post("/jobs", json=config, headers={"Idempotency-Key": key})
            assert answer.status_code == 201, answer.text
            ids.append(answer.json()["id"])
            self.told.accepted[key].add(ids[-1])
        for id in ids:
            job = until(partial(ended, http, id), 480, every_s=0.3)
            assert job and job["state"] == "succeeded", job
        self.reference_ids += ids
        return ids

    # ---- the minutes

    def strike(self, clients: Clients) -> None:
        rng = random.Random(self.seed)
        struck = Struck(self.machine, random.Random(f"{self.seed} faults"))
        ends, next_at = time.monotonic() + self.minutes * 60, time.monotonic()
        kinds = decks(rng, self.faults)
        while time.monotonic() < ends:
            assert clients.failure is None, clients.failure
            struck.tick()
            self.machine.revive()
            if time.monotonic() >= next_at:
                self._one_fault(struck, kinds)
                next_at = time.monotonic() + rng.uniform(*GAP_S)
            time.sleep(0.1)
        struck.undo_all()

    def _one_fault(self, struck: Struck, kinds: Iterator[str]) -> None:
        """The next of the deck that finds something to strike; while all is down, none."""
        for _ in range(3):
            kind = next(kinds)
            what = self.faults[kind](struck)
            if what is not None:
                self.by_kind[kind] += 1
                self.say(what, kind=kind)
                return

    # ---- after

    def calm_down(self, clients: Clients) -> None:
        """Nothing dies any more: all that was accepted ends, nobody's runner goes on, and one can play."""
        self.machine.wait_ready()
        clients.closing.set()
        self.say("calm", unfinished=dict(clients.unfinished))
        clients.join(CALM_S)
        if clients.is_alive():
            self.told.refusals += [f"{who} waits in vain for {what}" for who, what in clients.unfinished.items()]
        with suppress(AssertionError):
            until(lambda: not self.machine.runners, 30, every_s=0.5)
        self.machine.orphans += [f"runner of no job: {runner}" for runner in self.machine.runners]
        if asyncio.run(self._frames()) == 0:
            self.told.refusals.append("nobody can play")
        with suppress(AssertionError):
            until(lambda: not open_sessions(self.machine.query), SESSION_S, every_s=1.0)
        self.say("over")

    async def _frames(self) -> int:
        """Of a session when all is over; the player may be loading its model."""
        headers = {"Authorization": f"Bearer {self.machine.key}"}
        async with httpx.AsyncClient(base_url=f"{self.machine.url}/v1", headers=headers, timeout=30) as http:
            for _ in range(6):
                with suppress(Exception):  # tried again
                    if frames := await play(self.machine.url, http, 7, 10.0):
                        return frames
                await asyncio.sleep(5.0)
        return 0

    def record(self) -> Record:
        """What there is to judge, while the database still runs."""
        kept = read(self.machine.query, self.machine.hashes())
        may_have_runs = {id for id, job in kept.jobs.items() if job["state"] in ("failed", "cancelled")}
        self.machine.orphans += self.machine.files_left(set(kept.artifacts), may_have_runs)
        self.say("read, and cleaned up")
        references: dict[str, Curve] = {}
        for id in self.reference_ids:
            curve = {key: points for key, points in kept.curves.get(id, {}).items() if key != "fence"}
            references[json.dumps(kept.jobs[id]["config"], sort_keys=True)] = curve
            assert len(kept.runs[id]) == 1, f"reference {id} was disturbed"
        return Record(self.told, kept, references, [], disk_was_full=self.by_kind["full-disk"] > 0)

    def judge(self, record: Record) -> dict[str, Any]:
        broken = {name: check(record) for name, check in INVARIANTS.items()}
        (self.evidence / "broken.json").write_text(json.dumps(broken, indent=1))
        for name, what in (("told", record.told), ("kept", record.kept)):
            (self.evidence / f"{name}.json").write_text(json.dumps(vars(what), default=sorted))  # sets
        counts = {name: len(lines) for name, lines in broken.items()}
        states = Counter(job["state"] for job in record.kept.jobs.values())
        return {
            "seed": self.seed,
            "faults": self.by_kind.total(),
            "kinds": len(self.by_kind),
            "jobs": len(record.told.accepted),
            **counts,
            "runs": sum(map(len, record.kept.runs.values())),
            "states": dict(states),
            "frames": self.told.frames,
            "seconds": round(time.monotonic() - self.began),
            "by_kind": dict(sorted(self.by_kind.items())),
        }


def ended(http: httpx.Client, id: str) -> dict[str, Any] | None:
    """The job, once it has."""
    job: dict[str, Any] = http.get(f"/jobs/{id}").json()
    return job if job["state"] in ENDED else None


def decks(rng: random.Random, kinds: Collection[str]) -> Iterator[str]:
    """Every kind as often as any other, in an order of the seed."""
    while True:
        yield from rng.sample(sorted(kinds), len(kinds))
