"""`terrarium bench gateway`: durable submissions, lists, watchers and what idles, beside the obvious alternative.

terrarium bench gateway --json
terrarium bench gateway --seconds 2 --rounds 1 --jobs 1000 --watchers 100 --idle-seconds 5      # a first look

Real processes on a real disk: an embedded PostgreSQL whose commits reach the disk, an embedded Redis, the gateway and
the dispatcher as `terrarium up` starts them, and bench_alternative.py with a database of its own. Clients are a process
of their own (bench_clients.py); all share this machine's cores. Linux only, where /proc tells processor times.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import psycopg
import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.machine import machine
from terrarium.cli.up import answers, check_port
from terrarium.store.db import upgrade_database
from terrarium.store.embedded import Child, Postgres, Redis, make_socket_dir, remove_socket_dir
from terrarium.store.errors import Unavailable
from terrarium.worlds.episodes.kinds import RecordConfig

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 32
READERS = 4  # clients that ask for lists at the same time
FAILED = 100  # of the jobs in the list: what a filter finds
SETTLE_S = 8.0  # until a dispatcher that has nothing more to send looks for lost messages
ASKED = {  # of the gateway on two cores
    "submissions_per_s": ">= 300",
    "submit_ms_p99": "<= 150",
    "list_first_ms_p99": "<= 40",
    "list_filtered_ms_p99": "<= 40",
    "list_deep_ms_p99": "<= 40",
    "watchers_percent": "<= 10",
    "dispatcher_percent": "<= 2",
}


def gateway(
    seconds: Annotated[float, typer.Option(min=0.1, help="Measured time of each load, after a warm-up.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of submissions, ours and the alternative's.")] = 3,
    jobs: Annotated[int, typer.Option(min=300, help="Queued jobs while lists, watchers and idling are measured.")] = (
        10_000
    ),
    watchers: Annotated[int, typer.Option(min=1, help="Event streams, each of another queued job.")] = 1000,
    idle_seconds: Annotated[float, typer.Option(min=0.1, help="Measured time of what idles.")] = 30.0,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder on the disk to measure. If omitted, a temporary one here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """The gateway and the dispatcher under load and idle, beside one INSERT and one Celery message a request."""
    with ExitStack() as stack:
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".terrarium-bench-", dir=".")))
        sides = start(stack, data_dir.absolute())
        measured = {side.name: measure_submissions(side, seconds) for side in sides}
        for _ in range(rounds - 1):
            for side in sides:
                merge(measured[side.name], measure_submissions(side, seconds))
        for side in sides:
            side.fill(jobs)
            say(f"{side.name}: lists, watchers, idling")
            ours = measured[side.name]
            ours |= measure_dispatcher(side, idle_seconds)
            ours |= measure_lists(side, jobs, seconds)
            ours |= measure_watchers(side, watchers, idle_seconds)
    figures = {name: summary(one) for name, one in measured.items()}
    how = {"clients": CLIENTS, "seconds": seconds, "rounds": rounds, "jobs": jobs, "watchers": watchers}
    if as_json:
        print(json.dumps(figures | how | {"fsync_ms": fsync_ms(Path.cwd())} | machine()))
    else:
        Console().print(table(figures))


# ---- what is compared


@dataclass
class Side:
    """A gateway with its database, and the dispatcher that it needs."""

    name: str
    port: int
    database_url: str
    path: str
    """Of its jobs; `{path}/ID/events` is a job's stream."""
    gateway: Child
    postgres: Postgres
    dispatcher: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def fill(self, n: int) -> None:
        """`n` queued jobs and a few that failed, in place of those that were submitted."""
        until(lambda: not self.dispatcher or self.sql("SELECT count(*) FROM outbox") == [(0,)], "outbox not relayed")
        self.sql("TRUNCATE jobs CASCADE")
        httpx.post(self.url, json=asdict(RecordConfig())).raise_for_status()
        columns = ", ".join(name for (name,) in self.sql(COLUMNS) if name not in ("id", "created_at", "queued_at"))
        copies = f"FROM (SELECT * FROM jobs LIMIT 1) one, generate_series(2, {n + FAILED})"
        new = f"gen_random_uuid(), clock_timestamp(), {columns} {copies}"
        self.sql(f"INSERT INTO jobs (id, created_at, {columns}) SELECT {new}")
        self.sql(f"UPDATE jobs SET state = 'failed' WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT {FAILED})")
        if self.dispatcher:
            self.sql(EVENTS)
            self.sql("INSERT INTO outbox (job_id) SELECT id FROM jobs WHERE state = 'queued'")
            until(lambda: self.sql("SELECT count(*) FROM outbox") == [(0,)], "outbox not relayed")
        self.sql("VACUUM ANALYZE")


COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'jobs'"
EVENTS = """INSERT INTO job_events (job_id, seq, type, data)
SELECT id, 1, 'state', '{"state": "queued"}' FROM jobs WHERE id NOT IN (SELECT job_id FROM job_events)"""


def start(stack: ExitStack, data_dir: Path) -> list[Side]:
    """Both, with their services, until the stack ends."""
    data_dir.mkdir(parents=True, exist_ok=True)
    logs, sockets = data_dir / "logs", make_socket_dir(data_dir)
    stack.callback(remove_socket_dir, data_dir)

    def run(child: Child) -> Child:
        child.start()
        stack.callback(child.stop)
        child.wait_ready()
        return child

    postgres = Postgres(data_dir / "postgres", sockets, logs / "postgres.log")
    redis = Redis(data_dir / "redis", sockets, logs / "redis.log")
    for server in (postgres, redis):
        run(server)
    upgrade_database(postgres.url)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE alternative")
    env = os.environ | {"REDIS_URL": redis.url, "TERRARIUM_DATA_DIR": str(data_dir), "TERRARIUM_HOST": "127.0.0.1"}

    def python(name: str, *argv: str, **more: str) -> Child:
        return run(Child(name, [sys.executable, "-m", *argv], logs / f"{name}.log", env=env | more, cwd=ROOT))

    def serve(name: str, port: int, *argv: str, **more: str) -> Child:
        child = python(name, *argv, **more)
        until(lambda: answers("127.0.0.1", port), f"{name} does not answer", while_alive=child)
        return child

    port, other_port = check_port("127.0.0.1", 0), check_port("127.0.0.1", 0)
    other_url = postgres.url.replace("/postgres?", "/alternative?")
    app = "terrarium.cli.bench_alternative:make_app"
    options = ("--factory", app, "--port", str(other_port), "--log-level", "warning")
    ours = serve("gateway", port, "terrarium.api.server", DATABASE_URL=postgres.url, TERRARIUM_PORT=str(port))
    theirs = serve("alternative", other_port, "uvicorn", *options, DATABASE_URL=other_url)
    dispatcher = python("dispatcher", "terrarium.workers.dispatcher", DATABASE_URL=postgres.url)
    return [
        Side("terrarium", port, postgres.url, "/v1/jobs", ours, postgres, dispatcher),
        Side("alternative", other_port, other_url, "/jobs", theirs, postgres),
    ]


# ---- what is measured


def measure_submissions(side: Side, seconds: float) -> dict[str, Any]:
    """Jobs that are committed, one after the other by each of the clients."""
    say(f"{side.name}: submissions")
    servers = [side.gateway, *([side.dispatcher] if side.dispatcher else [])]
    jobs = side.sql("SELECT count(*) FROM jobs")[0][0]
    before, database_before = sum(map(cpu_s, servers)), postgres_s(side)
    answered = load(side.port, [side.path], CLIENTS, seconds, asdict(RecordConfig()))
    cpu, database_cpu = sum(map(cpu_s, servers)) - before, postgres_s(side) - database_before
    made = side.sql("SELECT count(*) FROM jobs")[0][0] - jobs
    return {
        "submissions_per_s": [len(answered["latencies_ms"]) / answered["seconds"]],
        "submit_ms": answered["latencies_ms"],
        "submit_server_cpu_ms": [cpu * 1e3 / made],
        "submit_postgres_cpu_ms": [database_cpu * 1e3 / made],
    }


def measure_lists(side: Side, jobs: int, seconds: float) -> dict[str, Any]:
    """Pages of 50: the newest, the failed ones, and one near the end of the list."""
    pages = {"first": side.path, "filtered": f"{side.path}?state=failed", "deep": f"{side.path}?{deep(side, jobs)}"}
    found: dict[str, Any] = {}
    for name, path in pages.items():
        before, database_before = cpu_s(side.gateway), postgres_s(side)
        answered = load(side.port, [path], READERS, seconds)
        asked = answered["answers"]
        found[f"list_{name}_ms"] = answered["latencies_ms"]
        found[f"list_{name}_server_cpu_ms"] = [(cpu_s(side.gateway) - before) * 1e3 / asked]
        found[f"list_{name}_postgres_cpu_ms"] = [(postgres_s(side) - database_before) * 1e3 / asked]
    return found


def deep(side: Side, jobs: int) -> str:
    """The query of a page after nine tenths of the jobs."""
    after = jobs * 9 // 10
    if side.dispatcher is None:
        return f"offset={after}"
    cursor = None
    for _ in range(after // 200):
        page = httpx.get(side.url, params={"limit": 200} | ({"cursor": cursor} if cursor else {})).raise_for_status()
        cursor = page.json()["next_cursor"]
    return f"cursor={cursor}" if cursor else ""


def measure_watchers(side: Side, n: int, seconds: float) -> dict[str, Any]:
    """Processor time of the gateway while so many streams have nothing to say."""
    ids = side.sql("SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT %s", n)
    how = {"port": side.port, "paths": [f"{side.path}/{id}/events" for (id,) in ids], "watch": True}
    with subprocess.Popen(clients(how), cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        if process.stdout.readline() != "watching\n":
            raise Unavailable(f"{side.name}: {n} watchers could not be opened")
        time.sleep(2.0)
        gateway, postgres = busy([lambda: cpu_s(side.gateway), lambda: postgres_s(side)], seconds)
        process.stdin.close()
    return {"watchers_percent": [gateway], "watchers_postgres_percent": [postgres]}


def measure_dispatcher(side: Side, seconds: float) -> dict[str, Any]:
    """Processor time of the dispatcher while every job waits."""
    dispatcher = side.dispatcher
    if dispatcher is None:
        return {}
    time.sleep(SETTLE_S)
    itself, postgres = busy([lambda: cpu_s(dispatcher), lambda: postgres_s(side)], seconds)
    return {"dispatcher_percent": [itself], "dispatcher_postgres_percent": [postgres]}


def load(port: int, paths: Sequence[str], n: int, seconds: float, body: dict[str, Any] | None = None) -> dict[str, Any]:
    how = {"port": port, "paths": paths, "clients": n, "seconds": seconds, "body": body}
    done = subprocess.run(clients(how), cwd=ROOT, text=True, capture_output=True)
    if done.returncode:
        raise Unavailable(f"the clients of the bench failed: {done.stderr.strip().splitlines()[-1]}")
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def clients(how: dict[str, Any]) -> list[str]:
    return [sys.executable, "-m", "terrarium.cli.bench_clients", json.dumps(how)]


def busy(clocks: Sequence[Callable[[], float]], seconds: float) -> list[float]:
    """Percent of a core that each process takes, by a clock of its processor time."""
    before, began = [clock() for clock in clocks], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return [100 * (clock() - at) / took for clock, at in zip(clocks, before, strict=True)]


def cpu_s(child: Child) -> float:
    return _cpu_s(child.pid or 0)


def postgres_s(side: Side) -> float:
    """Of the server and all its backends, those that ended included."""
    pid = side.postgres.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(_cpu_s, [pid or 0, *map(int, children)]))


def _cpu_s(pid: int) -> float:
    """Processor time of a process and of its children that have ended, in seconds."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    except FileNotFoundError:
        return 0.0  # a backend that has just ended
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def fsync_ms(folder: Path, times: int = 50) -> float:
    """Median time of the disk to keep a page: what a commit cannot be faster than."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            file.write(bytes(8192))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(took), 2)


# ---- what is shown


def merge(into: dict[str, list[float]], more: dict[str, list[float]]) -> None:
    for name, values in more.items():
        into[name] += values


def summary(measured: dict[str, list[float]]) -> dict[str, float]:
    """Of latencies the median and the 99th percentile, of all else the median of the rounds."""
    found: dict[str, float] = {}
    for name, values in measured.items():
        if name.endswith("_ms") and not name.endswith("_cpu_ms"):
            hundredths = statistics.quantiles(values, n=100)
            found |= {f"{name}_p50": hundredths[49], f"{name}_p99": hundredths[98]}
        else:
            found[name] = statistics.median(values)
    return {name: round(value, 2) for name, value in found.items()}


def table(figures: dict[str, dict[str, float]]) -> Table:
    shown = Table("", *figures, "times the alternative", "asked")
    ours, theirs = figures.values()
    for name, value in ours.items():
        other = theirs.get(name)
        times = f"{value / other:.2f}" if other else "-"
        shown.add_row(name, f"{value}", "-" if other is None else f"{other}", times, ASKED.get(name, ""))
    return shown


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def until(look: Callable[[], bool], failure: str, while_alive: Child | None = None, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        if time.monotonic() > deadline or (while_alive and not while_alive.alive()):
            raise Unavailable(failure)
        time.sleep(0.1)
