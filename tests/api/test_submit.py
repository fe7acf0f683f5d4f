"""Submissions that share a transaction: each has its own end, whatever becomes of its neighbours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from processes import until
from sqlalchemy import func, select
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from terrarium.api import submit
from terrarium.api.app import app
from terrarium.store.errors import Conflict
from terrarium.store.tables import Asset, IdempotencyKey, Job, JobEvent, Outbox
from terrarium.worlds.episodes.kinds import RecordConfig

RECORD = {"kind": "dataset.record", "episodes": 2, "steps": 16}


@pytest.fixture
def http(db: Session, redis_url: str, data_dir: Path) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Groups]:
    yield Groups(monkeypatch)


class Groups:
    """The groups that are written. The first waits until `go` is set, so that those behind it share the second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.began, self.go = threading.Event(), threading.Event()
        write_group = submit.write_group

        def write(drafts: Any) -> Any:
            self.sizes.append(len(drafts))
            self.began.set()
            assert self.go.wait(60)
            return write_group(drafts)

        monkeypatch.setattr(submit, "write_group", write)


def drafts(*keys: str | None, seed: int = 0) -> list[submit.Draft]:
    return [submit.draft(RecordConfig(episodes=2, steps=16, seed=seed), key, None) for key in keys]


def count(db: Session, table: Any) -> int:
    return db.scalar(select(func.count()).select_from(table)) or 0


def refuse(session: Session, rows: list[dict[str, Any]], submit_all: Any) -> list[Job]:
    """Text that Postgres does not take is an error of the whole statement."""
    return submit_all(session, [row | {"name": "\x00"} if row["config"]["seed"] == 13 else row for row in rows])


def test_what_comes_in_during_a_commit_shares_the_next(http: TestClient, groups: Groups, db: Session) -> None:
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(http.post, "/v1/jobs", json=RECORD)
        assert groups.began.wait(60)
        others = [pool.submit(http.post, "/v1/jobs", json=RECORD | {"seed": seed}) for seed in range(8)]
        until(lambda: len(submit.WRITER._waiting) == len(others))
        groups.go.set()
        made = [one.result(60) for one in (first, *others)]
    assert groups.sizes == [1, 8] and {answer.status_code for answer in made} == {201}
    ids = [UUID(answer.json()["id"]) for answer in made]
    assert [answer.json()["config"]["seed"] for answer in made] == [0, *range(8)], "each has its own answer"
    events = select(JobEvent.job_id, JobEvent.seq, JobEvent.type, JobEvent.data)
    assert sorted(db.execute(events).all()) == [(id, 1, "state", {"state": "queued"}) for id in sorted(ids)]
    assert sorted(db.scalars(select(Outbox.job_id))) == sorted(ids)


def test_one_that_postgres_refuses_leaves_its_neighbours(
    http: TestClient, db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_all = submit.jobs.submit_all
    monkeypatch.setattr(submit.jobs, "submit_all", lambda session, rows: refuse(session, rows, submit_all))
    group = drafts("a") + drafts("b", seed=13) + drafts("c", None)
    outcomes = submit.write_group(group)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False, False]
    assert isinstance(outcomes[1], (DataError, ValueError))
    assert count(db, Job) == count(db, Outbox) == count(db, JobEvent) == 3
    assert set(db.scalars(select(IdempotencyKey.key))) == {"a", "c"}, "the key of the refused one is still free"


def test_one_key_twice_in_a_group_is_one_job(http: TestClient, db: Session) -> None:
    first, again, other = submit.write_group([*drafts("k", "k"), *drafts("k", seed=1)])
    assert not isinstance(first, Exception) and not isinstance(again, Exception)
    assert (first[1], again[1]) == (True, False) and first[0].id == again[0].id
    assert isinstance(other, Conflict) and other.code == "idempotency_conflict"
    ((later, new),) = submit.write_group(drafts("k"))
    assert (later.id, new) == (first[0].id, False) and count(db, Job) == 1


def test_gateways_that_write_the_same_keys_at_the_same_time_make_one_job_of_each(http: TestClient, db: Session) -> None:
    """Groups as of two processes: each key in both, in another order."""
    keys = [f"key {i}" for i in range(40)]
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            orders = (keys, keys[::-1], keys[1::2] + keys[::2], keys)
            done = list(pool.map(lambda order: submit.write_group(drafts(*order)), orders))
        found = [{str(view.id) for view, _ in outcomes} for outcomes in done]
        assert all(ids == found[0] for ids in found) and len(found[0]) == count(db, Job) == count(db, Outbox) == 40
    assert sum(new for outcomes in done for _, new in outcomes) == 0, "the last round found what the first made"


def test_a_database_that_fails_fails_the_group_and_not_the_next(
    http: TestClient, groups: Groups, db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = submit.once.keep

    def lose_connection(*_: Any) -> bool:
        raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(submit.once, "keep", lose_connection)
    groups.go.set()
    with ThreadPoolExecutor(4) as pool:
        headers = [{"Idempotency-Key": key} for key in "abcd"]
        failed = list(pool.map(lambda one: http.post("/v1/jobs", json=RECORD, headers=one), headers))
    assert {(answer.status_code, answer.json()["code"]) for answer in failed} == {(503, "unavailable")}
    assert count(db, Job) == count(db, IdempotencyKey) == 0
    monkeypatch.setattr(submit.once, "keep", keep)
    again = [http.post("/v1/jobs", json=RECORD, headers=one) for one in headers]
    assert {answer.status_code for answer in again} == {201} and count(db, Job) == 4


def test_a_client_that_goes_away_before_the_commit_has_its_job(groups: Groups, http: TestClient, db: Session) -> None:
    async def leave() -> list[submit.Written]:
        writer = submit.Writer()
        first, gone, stays = [asyncio.create_task(writer.write(draft)) for draft in drafts("a", "gone", "stays")]
        await asyncio.to_thread(groups.began.wait, 60)
        gone.cancel()
        groups.go.set()
        return [await first, await stays]

    assert [new for _, new in asyncio.run(leave())] == [True, True]
    assert set(db.scalars(select(IdempotencyKey.key))) == {"a", "gone", "stays"} and count(db, Job) == 3


def test_a_key_that_made_its_job_answers_without_its_inputs(http: TestClient, db: Session) -> None:
    db.add(Asset(id="walks", type="dataset", name="d", manifest={}))
    db.commit()
    train, key = {"kind": "tokenizer.train", "data": "walks"}, {"Idempotency-Key": "k"}
    made = http.post("/v1/jobs", json=train, headers=key)
    db.execute(Asset.__table__.delete())  # type: ignore[attr-defined]
    db.commit()
    again = http.post("/v1/jobs", json=train, headers=key)
    assert (made.status_code, again.status_code) == (201, 200) and again.json()["id"] == made.json()["id"]
    assert http.post("/v1/jobs", json=train).status_code == 422
    assert http.post("/v1/jobs", json=train, headers={"Idempotency-Key": "new"}).status_code == 422
