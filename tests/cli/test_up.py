"""`terrarium up` as a person meets it: a second one, a taken port, Ctrl-C, kill -9, a second start.

PostgreSQL and Redis are real; but for one test, the services that load torch or FastAPI have stand-ins.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import psycopg
import pytest
from brought import make_dataset
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from terrarium.cli.up import ROOT
from terrarium.store.places import shipped_folder

TIMEOUT_S = 120.0


class Up:
    """A running `up` on a free port; its output is in a file."""

    def __init__(self, data_dir: Path, *command: str, **env_more: str) -> None:
        self.data_dir, self.output = data_dir, data_dir.with_suffix(".out")
        # By its path: packages in an environment bring a `tests` of their own.
        stand_ins = [str(Path(__file__).with_name("stand_ins.py")), str(data_dir), "0"]
        argv = [sys.executable, *(["-m", "terrarium.cli.main", *command, "--port", "0"] if command else stand_ins)]
        env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
        env |= {"TERRARIUM_DATA_DIR": str(data_dir)} | env_more
        with self.output.open("w") as output:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=output, stderr=output)

    def text(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> Up:
        wait_for(lambda: "Play:" in self.text() or self.process.poll() is not None, self.text)
        assert self.process.poll() is None, self.text()
        return self

    def run(self) -> dict:
        return json.loads((self.data_dir / "run.json").read_text())

    def pids(self) -> dict[str, int]:
        return self.run()["processes"]

    def end(self, signum: int) -> int:
        self.process.send_signal(signum)
        return self.process.wait(TIMEOUT_S)


def wait_for(condition, explain=lambda: "") -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """A zombie, ended but not yet fetched by its new parent, is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def processes() -> dict[int, str]:
    """pid -> command line, of all that run here."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def sockets_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_socket()]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that only its owner can enter, as /root or a mktemp -d is."""
    with tempfile.TemporaryDirectory(prefix="terrarium-up-") as folder:
        yield Path(folder) / "data"


@pytest.fixture
def ups() -> Iterator[list[Up]]:
    running: list[Up] = []
    yield running
    for up in running:
        if up.process.poll() is None:
            up.end(signal.SIGTERM)


def test_start_refuse_a_second_stop_and_find_the_data_again(home: Path, ups: list[Up]) -> None:
    first = Up(home)
    ups.append(first)
    first.wait_ready()
    assert first.text().count("http://") == 1
    run, pids = first.run(), first.pids()
    assert run["pid"] == first.process.pid and run["url"] in first.text()
    assert set(pids) == {"postgres", "redis", "gateway", "player", "worker"} and all(map(alive, pids.values()))
    keep_something(home)

    second = subprocess.run(
        [sys.executable, "-m", "terrarium.cli.main", "up", "--data-dir", str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert second.returncode == 2
    assert second.stderr == f"terrarium: already running as pid {first.process.pid} at {run['url']}\n"

    assert first.end(signal.SIGINT) == 0
    assert not any(map(alive, pids.values())) and not sockets_in(home)
    assert "killed" not in first.text() and "saved" in (home / "logs" / "worker.log").read_text()

    again = Up(home)
    ups.append(again)
    again.wait_ready()
    assert is_kept(home)
    assert again.end(signal.SIGTERM) == 0


def test_what_dies_is_started_again_and_kill_9_of_all_leaves_no_child(home: Path, ups: list[Up]) -> None:
    first = Up(home)
    ups.append(first)
    before = first.wait_ready().pids()
    keep_something(home)
    for name in ("worker", "redis", "postgres"):
        os.kill(before[name], signal.SIGKILL)
    wait_for(lambda: first.pids().keys() == before.keys() and is_kept(home), first.text)
    after = first.pids()
    assert "worker ended with code -9; starting it again in 0.5 s" in first.text()
    assert {name for name in before if before[name] != after[name]} == {"worker", "redis", "postgres"}

    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = Up(home)  # at once: it waits for what is still ending
    ups.append(second)
    second.wait_ready()
    assert not any(map(alive, after.values())) and is_kept(home)


def test_what_hangs_is_named_killed_and_started_again(home: Path, ups: list[Up]) -> None:
    up = Up(home, TERRARIUM_HUNG_AFTER_S="9")
    ups.append(up)
    before = up.wait_ready().pids()
    keep_something(home)
    for pid in before.values():
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: not any(map(alive, before.values())), up.text)
    wait_for(lambda: up.pids().keys() == before.keys() and not before.items() & up.pids().items(), up.text)
    wait_for(lambda: is_kept(home), up.text)
    for name in before:
        assert f"  {name} answered none of 6 probes in 9 s: killed\n" in up.text()
    assert up.end(signal.SIGINT) == 0


def test_all_the_real_services_start_and_leave_nothing_behind(home: Path, ups: list[Up]) -> None:
    command = ["play", "--no-browser", "--checkpoint", str(shipped_folder())]
    up = Up(home, *command, TERRARIUM_HUNG_AFTER_S="15")
    ups.append(up)
    expected = {"postgres", "redis", "gateway", "dispatcher", "worker", "player"}
    wait_for(lambda: set(up.wait_ready().pids()) == expected, up.text)
    pids = up.pids()
    family = {pid: args for pid, args in processes().items() if str(home) in environment(pid) or str(home) in args}
    assert set(pids.values()) <= family.keys() | {pids["postgres"], pids["redis"]}
    (address,) = re.findall(r"http://\S+", up.text())
    url = urlsplit(address)
    checkpoint = parse_qs(url.query)["checkpoint"][0]
    with urlopen(f"{url.scheme}://{url.netloc}/v1/checkpoints") as found:
        assert {item["id"] for item in json.load(found)["items"]} == {"shipped", checkpoint}
    added = terrarium("add", str(make_dataset(home.with_name("walks"))), "--data-dir", str(home), DATABASE_URL="")
    assert added.returncode == 0 and not added.stderr, added.stderr
    with urlopen(f"{url.scheme}://{url.netloc}/v1/datasets") as found:
        listed = [(item["id"], item["name"]) for item in json.load(found)["items"]]
    assert listed == [(added.stdout.split()[1], "walks")]
    with urlopen(address) as page:
        assert page.status == 200 and b"<html" in page.read()
    wait_for(lambda: all((home / "sockets" / f"{name}.pulse").exists() for name in ("dispatcher", "worker")), up.text)
    stopped = {name: pids[name] for name in ("dispatcher", "worker", "player")}
    for pid in stopped.values():
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: up.pids().keys() == expected and not stopped.items() & up.pids().items(), up.text)
    assert up.text().count("answered none of 6 probes") == len(stopped), up.text()
    assert up.end(signal.SIGINT) == 0
    assert not any(map(alive, {*pids.values(), *family})) and not sockets_in(home)
    assert "did not stop" not in up.text()


def keep_something(home: Path) -> None:
    with psycopg.connect(f"postgresql://terrarium@/postgres?host={home}/sockets/pg") as connection:
        connection.execute("INSERT INTO assets (id, type, name, manifest) VALUES ('kept', 'dataset', 'kept', '{}')")


def is_kept(home: Path) -> bool:
    """False while a server is away."""
    try:
        with psycopg.connect(f"postgresql://terrarium@/postgres?host={home}/sockets/pg") as connection:
            names = connection.execute("SELECT name FROM assets WHERE type = 'dataset'").fetchall()
        with Redis.from_url(f"unix://{home}/sockets/redis.sock") as redis:
            return names == [("kept",)] and bool(redis.ping())
    except (psycopg.OperationalError, RedisConnectionError):
        return False


def terrarium(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "terrarium.cli.main", *args]
    return subprocess.run(argv, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=TIMEOUT_S)


def test_a_port_in_use_is_one_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = terrarium("up", "--data-dir", str(home), "--port", str(port))
    assert result.returncode == 2 and not result.stdout
    reason = f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another with --port"
    assert result.stderr == f"terrarium: {reason}\n"
    assert not (home / "postgres").exists()


def test_a_data_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "data", "Not a directory")):
        result = terrarium("up", "--data-dir", str(path))
        assert result.returncode == 2
        assert result.stderr == f"terrarium: cannot write to the data directory {path}: {reason}\n"


def test_a_folder_that_is_no_world_model_is_one_line(home: Path, tmp_path: Path) -> None:
    result = terrarium("play", "--data-dir", str(home), "--port", "0", "--checkpoint", str(tmp_path))
    assert result.returncode == 2 and not result.stdout
    reason = f"{tmp_path}: manifest.json is not there: expected the files of a world-model"
    assert result.stderr == f"terrarium: {reason}\n"


def test_debug_shows_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = terrarium("--debug", "up", "--data-dir", str(tmp_path / "file"))
    assert "Traceback" in result.stderr and result.returncode == 1


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    heavy = {"torch", "numba", "sqlalchemy", "fastapi", "pydantic"}
    code = f"import sys, terrarium.cli.main; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "[]\n"
    assert "jobs" in terrarium("--help").stdout
