"""The whole path of a job through real processes (gateway, dispatcher, Celery worker), with a stand-in recipe.

What is killed, drained or flushed on the way must not lose the job.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from processes import ROOT, Services, services, until
from redis import Redis as Client
from sqlalchemy import text
from typer.testing import CliRunner

from terrarium.cli.main import app as terrarium
from terrarium.store.db import engine_for
from terrarium.store.embedded import Child, Redis
from terrarium.store.moves import AT_REST
from terrarium.store.tables import Base

RECORD = {"kind": "dataset.record", "episodes": 2, "steps": 16}
LONG = {"steps": 2000, "pause_s": 0.02}
HERE = Path(__file__).parent


class House:
    """The running processes, and a client of the gateway."""

    def __init__(self, started: Services, data_dir: Path, redis: Redis) -> None:
        self.services, self.data_dir, self.redis = started, data_dir, redis
        self.dispatcher = started.dispatcher()
        self.worker = self.start_worker()
        self.http = httpx.Client(base_url=started.gateway(), timeout=10)

    def start_worker(self, **env: str) -> Child:
        self.worker = self.services.worker("fake_worker", **env)
        return self.worker

    def log_lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.services.log(name).splitlines()]

    def script(self, *runs: dict[str, Any]) -> None:
        (self.data_dir / "script.json").write_text(json.dumps(runs))

    def lose_redis(self) -> None:
        """Killed, its files gone, and started again."""
        assert self.redis.process is not None
        self.redis.process.kill()
        self.redis.process.wait()
        shutil.rmtree(self.redis.home)
        self.redis.start()
        self.redis.wait_ready()

    def submit(self, **change: Any) -> str:
        response = self.http.post("/v1/jobs", json=RECORD | change)
        assert response.status_code == 201, response.text
        return response.json()["id"]

    def job(self, id: str) -> dict[str, Any]:
        return self.http.get(f"/v1/jobs/{id}").json()

    def until_state(self, id: str, *states: str, timeout_s: float = 60.0) -> dict[str, Any]:
        until(lambda: self.job(id)["state"] in {*states, *AT_REST}, timeout_s)
        job = self.job(id)
        assert job["state"] in states, (job, self.services.log("worker")[-3000:])
        return job

    def until_step(self, id: str, step: int) -> None:
        until(lambda: (self.job(id)["progress"] or {"step": 0})["step"] >= step)

    def runner_of(self, id: str) -> psutil.Process:
        """The worker's only child."""
        return until(lambda: psutil.Process(self.worker.pid).children())[0]

    def states(self, id: str) -> list[str]:
        """Of an ended job, from its events."""
        stream = self.http.get(f"/v1/jobs/{id}/events").text
        data = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
        return [d["state"] for d in data if "state" in d]


def connect_to(redis: Redis) -> Client:
    return Client.from_url(redis.url)


@pytest.fixture(scope="module")
def house(database_url: str, services_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data_dir = tmp_path_factory.mktemp("job-path")
    redis = Redis(services_dir / "path-redis", services_dir / "path-sockets", data_dir / "redis.log")
    redis.start()
    redis.wait_ready()
    env = {
        "REDIS_URL": redis.url,
        "TERRARIUM_DATA_DIR": str(data_dir),
        "FAKE_SCRIPT": str(data_dir / "script.json"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
        "TERRARIUM_LEASE_S": "8",
        "TERRARIUM_HEARTBEAT_S": "1",
        "TERRARIUM_LOG": "json",
    }
    with services(data_dir / "logs", **env) as started:
        yield House(started, data_dir, redis)
    redis.stop()
    names = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with engine_for(database_url).begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


def test_from_post_to_start_takes_a_moment(house: House) -> None:
    house.script({"steps": 1})
    delays = []
    for _ in range(5):
        id = house.submit()
        job = house.until_state(id, "succeeded")
        with engine_for(os.environ["DATABASE_URL"]).begin() as connection:
            query = text("SELECT extract(epoch FROM started_at - created_at) FROM jobs WHERE id = :id")
            delays.append(float(connection.execute(query, {"id": id}).scalar_one()))
        assert job["attempt"] == 1 and house.states(id) == ["queued", "running", "succeeded"]
    print(f"POST to start: {[round(d, 3) for d in delays]} s")
    assert min(delays) < 0.5


def test_a_request_is_followed_through_the_logs(house: House) -> None:
    house.script({"steps": 1})
    answer = house.http.post("/v1/jobs", json=RECORD, headers={"X-Request-ID": "nightly-7"})
    id = answer.json()["id"]
    house.until_state(id, "succeeded")
    assert answer.headers["x-request-id"] == "nightly-7"
    made = [line for line in house.log_lines("gateway") if line.get("request") == "nightly-7"]
    assert [line["job"] for line in made] == [id]
    until(lambda: f"job {id}: run 1 is over" in house.services.log("worker"))
    of_job = [line for line in house.log_lines("worker") if line.get("job") == id]
    assert {line["run"] for line in of_job} == {"1"} and f"job {id}: run 1 of dataset.record" in of_job[0]["message"]
    assert {"time", "level", "logger", "message"} <= of_job[0].keys()
    assert house.log_lines("dispatcher")[0]["message"] == "leading"
    forged = house.http.get("/health/live", headers={"X-Request-ID": 'a "b'}).headers["x-request-id"]
    assert len(forged) == 32


def test_the_result_is_a_dataset_that_others_can_name(house: House) -> None:
    house.script({"steps": 3})
    id = house.submit()
    house.until_state(id, "succeeded")
    assert house.http.get("/v1/datasets").json()["items"][0]["id"] == id
    house.script({"steps": 3, "end": "error"})
    response = house.http.post("/v1/jobs", json={"kind": "tokenizer.train", "data": id})
    assert response.status_code == 201
    job = house.until_state(response.json()["id"], "failed")
    assert job["error"] == {"code": "nan_loss", "message": "loss is nan: lower lr", "evidence": None}


def test_events_come_live(house: House) -> None:
    house.script({"steps": 40, "pause_s": 0.05})
    id = house.submit()
    late = []
    types = set()
    with house.http.stream("GET", f"/v1/jobs/{id}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                types.add(line[7:])
            if line.startswith("data: ") and '"state": "succeeded"' in line:
                finished_at = house.job(id)["finished_at"]
                with engine_for(os.environ["DATABASE_URL"]).begin() as connection:
                    query = text("SELECT extract(epoch FROM clock_timestamp() - CAST(:at AS timestamptz))")
                    late.append(float(connection.execute(query, {"at": finished_at}).scalar_one()))
    assert types == {"state", "progress", "metrics", "log"}
    print(f"commit to client: {late[0]:.3f} s")
    assert late[0] < 1.0  # looking at the clock takes a request and a query itself


def test_streams_that_are_left_leave_nothing_behind(house: House) -> None:
    house.script(LONG)
    id = house.submit()
    gateway = psutil.Process(house.services.running[-1].pid)
    house.until_state(id, "running")
    before = gateway.num_fds(), gateway.num_threads()
    for _ in range(20):
        with house.http.stream("GET", f"/v1/jobs/{id}/events") as stream:
            next(stream.iter_lines())
    # Threads are those of the pool, which are kept; connections must not be.
    until(lambda: gateway.num_fds() <= before[0] + 5, 10)
    house.http.post(f"/v1/jobs/{id}/cancel")
    house.until_state(id, "cancelled")


def test_cancel_of_a_running_job(house: House) -> None:
    house.script(LONG)
    id = house.submit()
    house.until_step(id, 3)
    started = time.monotonic()
    assert house.http.post(f"/v1/jobs/{id}/cancel").status_code == 202
    house.until_state(id, "cancelled")
    print(f"cancel: {time.monotonic() - started:.2f} s")
    assert time.monotonic() - started < 3
    assert not psutil.Process(house.worker.pid).children()


def test_a_killed_runner_resumes(house: House) -> None:
    house.script({"steps": 200, "pause_s": 0.02, "state_at": 5}, {"steps": 200, "pause_s": 0.001})
    id = house.submit()
    house.until_step(id, 10)
    house.runner_of(id).kill()
    house.until_state(id, "succeeded")
    assert house.states(id) == ["queued", "running", "queued", "running", "succeeded"]
    steps = [step for step, _ in house.http.get(f"/v1/jobs/{id}/metrics").json()["series"]["loss"]]
    assert steps == list(range(1, 201))


def test_three_kills_are_quarantine(house: House) -> None:
    house.script({"steps": 3, "end": "kill"})
    id = house.submit()
    job = house.until_state(id, "quarantined")
    assert job["error"]["evidence"]["signal"] == "SIGKILL"
    assert job["error"]["evidence"]["log_tail"][-1] == "run 3 of dataset.record"
    house.script({"steps": 3})
    assert house.http.post(f"/v1/jobs/{id}/release").status_code == 202
    house.until_state(id, "succeeded")


def test_drain_queues_the_job_again_and_the_next_worker_goes_on(house: House) -> None:
    house.script({"steps": 2000, "pause_s": 0.02}, {"steps": 50})
    id = house.submit()
    house.until_step(id, 3)
    started = time.monotonic()
    assert house.services.stop(house.worker) == 0
    print(f"drain: {time.monotonic() - started:.2f} s")
    job = house.job(id)
    assert (job["state"], job["attempt"]) == ("queued", 0)
    house.start_worker()
    house.until_state(id, "succeeded")
    assert house.states(id) == ["queued", "running", "queued", "running", "succeeded"]
    stream = house.http.get(f"/v1/jobs/{id}/events").text
    assert "event: resumed" in stream


def test_the_job_of_a_killed_worker_is_free_before_its_lease_ends(house: House) -> None:
    house.services.stop(house.worker)
    house.start_worker(TERRARIUM_LEASE_S="86400")
    house.script({"steps": 2000, "pause_s": 0.02, "state_at": 5}, {"steps": 50})
    id = house.submit()
    house.until_step(id, 10)
    runner = house.runner_of(id)  # the stand-in does not ask the kernel to die with its parent; the real one does
    house.services.stop(house.worker, signal.SIGKILL)
    runner.kill()
    house.start_worker()
    job = house.until_state(id, "succeeded")
    assert house.states(id) == ["queued", "running", "queued", "running", "succeeded"]
    assert job["attempt"] == 1 and "is dead, now queued" in house.services.log("dispatcher")


def test_a_plan_outlives_a_worker_and_goes_on_where_a_step_failed(house: House) -> None:
    """Each step's first run goes on for long and its second ends; the last one's fails."""
    house.script({"steps": 2000, "pause_s": 0.02, "state_at": 5}, {"steps": 50})
    steps = [
        {"name": "walks", "job": RECORD},
        {"name": "eye", "job": {"kind": "tokenizer.train", "data": "@walks"}},
        {"name": "model", "job": {"kind": "world-model.train", "data": "@walks", "tokenizer": "@eye"}},
    ]
    plan = house.http.post("/v1/plans", json={"steps": steps}).json()
    walks, eye, model = (step["job"]["id"] for step in plan["steps"])
    house.until_step(walks, 10)
    runner = house.runner_of(walks)
    house.services.stop(house.worker, signal.SIGKILL)
    runner.kill()
    house.start_worker()
    house.until_step(eye, 10)
    assert house.states(walks) == ["queued", "running", "queued", "running", "succeeded"]
    assert house.job(model)["state"] == "waiting"
    house.script({"steps": 3, "end": "error"})
    house.runner_of(eye).kill()
    house.until_state(eye, "failed")
    assert house.job(model)["state"] == "cancelled" and house.job(model)["error"]["code"] == "step_not_made"
    assert house.states(eye) == ["waiting", "queued", "running", "queued", "running", "failed"]

    house.script({"steps": 3})
    again = house.http.post(f"/v1/jobs/{eye}/retry").json()["id"]
    model = house.http.get(f"/v1/plans/{plan['id']}").json()["steps"][2]["job"]["id"]
    house.until_state(model, "succeeded")
    assert house.states(model) == ["waiting", "queued", "running", "succeeded"]
    assert house.http.get(f"/v1/plans/{plan['id']}").json()["state"] == "succeeded"
    assert set(house.http.get(f"/v1/assets/{model}").json()["made_from"]) == {walks, again}


def test_the_job_of_a_worker_that_stands_still_is_free_when_its_lease_ends(house: House) -> None:
    house.script({"steps": 2000, "pause_s": 0.02, "state_at": 5}, {"steps": 50})
    id = house.submit()
    house.until_step(id, 10)
    runner, stopped = house.runner_of(id), house.worker
    stopped.signal(signal.SIGSTOP)
    house.start_worker()
    house.until_state(id, "succeeded")
    assert house.states(id) == ["queued", "running", "queued", "running", "succeeded"]
    assert f"job {id}: lease expired, now queued" in house.services.log("dispatcher")
    runner.kill()
    house.services.stop(stopped, signal.SIGKILL)


def test_a_worker_that_lives_keeps_its_job_when_its_connections_are_cut(house: House) -> None:
    house.script({"steps": 450, "pause_s": 0.02})  # longer than the dispatcher waits for a lock that is missing
    id = house.submit()
    house.until_step(id, 10)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
    with engine_for(os.environ["DATABASE_URL"]).begin() as connection:
        assert connection.execute(text(cut)).all() == [(True,)]
    until(lambda: "its lock is gone, taking it again" in house.services.log("worker"))
    house.until_state(id, "succeeded")
    assert house.states(id) == ["queued", "running", "succeeded"]


def test_jobs_outlive_the_loss_of_redis(house: House) -> None:
    house.script({"steps": 60, "pause_s": 0.05})
    first = house.submit()
    house.until_state(first, "running")
    second = house.submit()  # waits in Redis behind the first
    with connect_to(house.redis) as client:
        until(lambda: client.llen("cpu") == 1)
    house.lose_redis()
    third = house.submit()
    house.script({"steps": 1})
    for id in (first, second, third):
        house.until_state(id, "succeeded")
        assert house.states(id) == ["queued", "running", "succeeded"], "each ran once"
    assert "messages again" in house.services.log("dispatcher")


def test_a_worker_and_the_dispatcher_outlive_garbage_in_redis(house: House) -> None:
    house.script({"steps": 1})
    envelope = {"body": "?", "headers": {}, "properties": {"delivery_tag": "x", "body_encoding": "base64"}}
    garbage = [b"garbage", b"\xff\xfe", b"{}", b"[]", b"null", json.dumps(envelope).encode()]
    with connect_to(house.redis) as redis:
        redis.lpush("cpu", *garbage)
        id = house.submit()
        house.until_state(id, "succeeded")
        until(lambda: redis.llen("cpu") == 0)
    assert house.worker.alive() and house.dispatcher.alive()


def test_messages_that_wait_are_not_sent_again(house: House) -> None:
    house.script({"steps": 130, "pause_s": 0.05}, {"steps": 1})
    first, second = house.submit(), house.submit()
    sent = house.services.log("dispatcher").count("messages again")
    house.until_state(first, "succeeded")  # after 6.5 s, in which the second waits for longer than 5 s
    house.until_state(second, "succeeded")
    assert house.services.log("dispatcher").count("messages again") == sent


def test_a_paused_queue_starts_the_most_urgent_first_when_it_is_resumed(house: House) -> None:
    house.script({"steps": 1})
    assert house.http.post("/v1/queues/cpu/pause").status_code == 200
    late, soon = house.submit(), house.submit()
    changed = house.http.patch(f"/v1/jobs/{soon}", json={"priority": 9, "config": {"seed": 8}})
    assert changed.json()["config"]["seed"] == 8
    with connect_to(house.redis) as client:
        until(lambda: client.llen("cpu") == 0)
    (worker,) = (w for w in house.http.get("/v1/workers").json()["items"] if w["alive"])
    assert set(worker["queues"]) == {"cpu", "gpu.train", "gpu.generate"} and worker["job"] is None
    assert worker["memory_bytes"] > 10**7 and worker["disk_free_bytes"] > 0
    assert [house.job(id)["state"] for id in (late, soon)] == ["queued", "queued"]
    assert house.http.post("/v1/queues/cpu/resume").status_code == 200
    for id in (late, soon):
        house.until_state(id, "succeeded")
    assert house.job(soon)["started_at"] < house.job(late)["started_at"]


def test_another_dispatcher_takes_over(house: House) -> None:
    house.script({"steps": 1})
    second = house.services.dispatcher()
    assert house.services.stop(house.dispatcher) == 0
    house.dispatcher = second
    house.until_state(house.submit(), "succeeded")


def test_the_command_line(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRARIUM_URL", str(house.http.base_url))
    monkeypatch.setenv("COLUMNS", "200")

    def jobs(*argv: str) -> Any:
        return CliRunner().invoke(terrarium, ["jobs", *argv])

    house.script({"steps": 20, "pause_s": 0.02})
    done = jobs("submit", "dataset.record", "--preset", "debug", "--set", "seed=3", "--watch")
    id = done.stdout.split()[0]
    assert done.exit_code == 0 and '"episodes": 1' in done.stdout, done.output
    assert house.job(id)["config"]["seed"] == 3 and house.job(id)["config"]["world"] == "plains"
    assert f"{id[:8]}  dataset.record  succeeded" in jobs("list", "--limit", "2").stdout
    assert json.loads(jobs("list", "--json").stdout)[0]["id"] == id
    assert "run 1 of dataset.record" in jobs("logs", id[:8]).stdout
    assert jobs("watch", id[:8]).exit_code == 0
    house.script({"steps": 3, "end": "error"})
    failed = jobs("submit", "dataset.record", "--watch")
    assert failed.exit_code == 1 and "nan_loss: loss is nan: lower lr" in failed.stdout
    assert jobs("cancel", failed.stdout.split()[0]).stdout == "failed\n"
    wrong = jobs("submit", "dataset.record", "--set", "colour=red")
    assert wrong.exit_code == 2 and wrong.stderr.startswith("terrarium: colour: ")
    assert "expected one of debug" in jobs("submit", "dataset.record", "--preset", "huge").stderr
    assert "no job whose id begins with 'zzzz'" in jobs("watch", "zzzz").stderr
    several = jobs("cancel", "").stderr
    assert "'' begins" in several and f"{id} (dataset.record, succeeded)" in several
    missing = jobs("submit", "tokenizer.train", "--set", "data=0f0f0f0f")
    assert missing.exit_code == 2 and "no dataset whose id begins with '0f0f0f0f'" in missing.stderr


def test_the_gateway_ends_open_streams_when_it_stops(house: House) -> None:
    house.script(LONG)
    id = house.submit()
    house.until_state(id, "running")
    gateway = next(p for p in house.services.running if p.name == "gateway")
    ended = threading.Event()

    def watch() -> None:
        with httpx.stream("GET", f"{house.http.base_url}/v1/jobs/{id}/events", timeout=30) as stream:
            for _ in stream.iter_lines():
                pass
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    time.sleep(1.0)
    started = time.monotonic()
    house.services.stop(gateway)
    assert ended.wait(1) and time.monotonic() - started < 2.5, "it waited for its grace period"
