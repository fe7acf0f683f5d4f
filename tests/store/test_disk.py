"""What is free, what lies there, and which errors are those of a full disk."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from PIL import Image
from small_disk import fill, small_disk
from sqlalchemy.exc import OperationalError

from terrarium.store import artifacts, data_dir, disk
from terrarium.store.embedded import Child, Redis, make_socket_dir, remove_socket_dir
from terrarium.store.settings import settings

NOISE = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
FULL = Path("/dev/full")  # every write to it is ENOSPC


def array_to_file() -> None:
    with FULL.open("wb", buffering=0) as file:
        NOISE.tofile(file)


def encode_video() -> None:
    av = pytest.importorskip("av")
    with av.open(str(FULL), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(NOISE)))


def torch_save() -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.zeros(10**6), FULL)


def query() -> None:
    e = psycopg.errors.DiskFull("could not extend file")
    raise OperationalError("INSERT", {}, e)


def wrapped() -> None:
    try:
        FULL.write_text("x")
    except OSError as e:
        raise RuntimeError("it did not work") from e


WRITERS = [
    array_to_file,
    encode_video,
    torch_save,
    query,
    wrapped,
    lambda: Image.fromarray(NOISE).save(FULL, format="PNG"),
    lambda: Image.fromarray(NOISE).save(FULL, format="JPEG"),
]


@pytest.mark.parametrize("write", WRITERS)
def test_every_library_that_writes_is_understood(write: Callable[[], object]) -> None:
    with pytest.raises(Exception) as caught:
        write()
    assert disk.says_full(caught.value), repr(caught.value)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("30x30"), KeyError("x")])
def test_other_errors_are_others(error: Exception) -> None:
    assert not disk.says_full(error) and not disk.says_full(pickle.loads(pickle.dumps(error)))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB with a data directory, filled to the last byte by what the test calls `fill` on."""
    with small_disk(tmp_path / "disk", 2) as path:
        yield path


def test_files_that_are_renamed_are_understood_too(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors and obstore, which write through Rust and do not take /dev/full."""
    safetensors = pytest.importorskip("safetensors.torch")
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception, match="os error 28") as caught:
        safetensors.save_file({"x": torch.zeros(10**6)}, full / "model")
    assert disk.says_full(caught.value)
    monkeypatch.setenv("TERRARIUM_DATA_DIR", str(full))
    settings.cache_clear()
    with pytest.raises(OSError, match=r"artifact 'log'") as lost:
        artifacts.put(uuid4(), "log", "text/plain", bytes(3 * 2**20))
    assert lost.value.errno == errno.ENOSPC
    settings.cache_clear()


def test_a_full_disk_is_known_and_described(full: Path) -> None:
    assert disk.free_bytes(full / "not" / "there") == disk.free_bytes(full) > disk.FULL_BYTES
    (full / "datasets" / "one").mkdir(parents=True)
    (full / "datasets" / "one" / "frames.npy").write_bytes(bytes(500_000))
    (full / "plays").mkdir()
    (full / "plays" / "a").write_bytes(bytes(100_000))
    assert not disk.is_full(full)
    fill(full).rename(full / "plays" / "b")
    assert disk.is_full(full)
    assert disk.describe(full) == f"{full} has 0 B free; largest there: plays 1.6 MB, datasets/one 503.8 kB"


def test_up_notes_its_processes_on_a_full_disk(full: Path) -> None:
    data_dir.write_run(full, {"pid": 1, "processes": {"redis": 2, "gateway": 3}})
    fill(full)
    data_dir.write_run(full, {"pid": 1, "processes": {"redis": 44}})
    assert data_dir.read_run(full) == {"pid": 1, "processes": {"redis": 44}}
    assert {path.name for path in full.iterdir()} == {"run.json", "filler"}


def test_redis_takes_messages_on_a_full_disk(full: Path) -> None:
    server = Redis(full / "redis", make_socket_dir(full), full / "redis.log")
    server.start()
    try:
        server.wait_ready()
        fill(full)
        from redis import Redis as Client

        with Client.from_url(server.url) as client:
            for n in range(20):
                client.lpush("cpu", bytes(10_000 * n))
            assert client.llen("cpu") == 20
        assert server.stop() == 0
    finally:
        server.kill()
        remove_socket_dir(full)


def test_a_service_that_writes_a_lot_of_log_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.store.embedded.MOST_LOG", 3 * 2**20)
    log = tmp_path / "log"
    child = Child("talker", ["sh", "-c", "yes noise | head -c 4000000; echo half; read x; echo end"], log)
    child.start()
    child.process.wait()  # type: ignore[union-attr]
    assert log.stat().st_size > 3 * 2**20
    child.cut_log()
    assert log.stat().st_size == 2**20
    with log.open("ab") as same:
        same.write(b"more\n")
    assert log.read_bytes().endswith(b"half\nend\nmore\n")


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (12_345_678, "12.3 MB"), (2e15, "2000.0 TB")])
def test_sizes_are_read_by_people(size: float, text: str) -> None:
    assert disk.human(size) == text
