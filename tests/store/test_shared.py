"""Two data directories, one object store: a real S3-compatible server on loopback."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from s3 import s3_server

from terrarium.store import shared
from terrarium.store.artifacts import object_store
from terrarium.store.settings import settings

Machine = Callable[[str], Path]


@pytest.fixture(scope="module")
def store_env() -> Iterator[dict[str, str]]:
    with s3_server() as env:
        yield env


@pytest.fixture
def machine(store_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """`machine("a")` is the data directory of machine a, where everything happens from then on."""
    for name, value in store_env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TERRARIUM_ARTIFACTS_URL", f"{store_env['TERRARIUM_ARTIFACTS_URL']}/{tmp_path.name}")
    monkeypatch.setattr(shared, "TRUSTED_S", 0.0)

    def on(name: str) -> Path:
        monkeypatch.setenv("TERRARIUM_DATA_DIR", str(tmp_path / name))
        settings.cache_clear()
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    yield on
    monkeypatch.undo()
    settings.cache_clear()


def fill(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def texts(folder: Path) -> dict[str, str]:
    return {name: path.read_text() for name, path in shared._files(folder)}


def test_a_folder_comes_to_another_machine_with_its_times(machine: Machine) -> None:
    one = fill(machine("a") / "datasets/1", manifest="m", episodes__0__frames="f" * 100_000, empty="")
    os.utime(one / "manifest", (1e9, 1e9))
    shared.publish(one)
    there = machine("b") / "datasets/1"
    assert not there.exists() and shared.fetch(there)
    assert texts(there) == texts(one)
    assert (there / "manifest").stat().st_mtime == 1e9
    assert not shared.fetch(there.with_name("2"))
    assert [folder for _, folder in shared.copies()] == [there]


def test_nobody_sees_what_is_only_staged(machine: Machine) -> None:
    output, place = fill(machine("a") / "runs/output", x="1"), settings().data_dir / "checkpoints/1"
    staged = shared.stage(place, output)
    machine("b")
    assert not shared.fetch(settings().data_dir / "checkpoints/1")
    machine("a")
    place.parent.mkdir()
    output.rename(place)
    staged.publish()
    assert shared.fetch(machine("b") / "checkpoints/1")


def test_what_was_sent_is_not_sent_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(machine("a") / "datasets/1", x="1", y="2")
    shared.stage(folder)
    sent: list[str] = []
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, key, content: (sent.append(key), put(store, key, content)))
    shared.publish(folder)
    assert sent == ["index/datasets/1/index.json"]


def test_a_copy_that_differs_from_the_store_is_fetched_anew(machine: Machine) -> None:
    """Left by a run whose job was then made elsewhere, or changed since, as a thumbnail is."""
    mine = fill(machine("a") / "worlds/1", x="of a run that was cut off", y="rubbish")
    shared.publish(fill(machine("b") / "worlds/1", x="first"))
    machine("a")
    assert shared.fetch(mine) and texts(mine) == {"x": "first"}
    shared.publish(fill(machine("b") / "worlds/1", x="second"))
    machine("a")
    assert shared.fetch(mine) and texts(mine) == {"x": "second"}
    machine("b")
    gone = shared.superseded(older_than_s=-60)
    assert len(gone) == 1 and not shared.superseded(older_than_s=3600)
    obstore.delete(object_store(), list(gone))
    assert shared.fetch(machine("c") / "worlds/1")


def test_a_fetch_that_was_cut_off_goes_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.publish(fill(machine("a") / "datasets/1", x="1", y="2", z="3"))
    there = machine("b") / "datasets/1"
    asked: list[str] = []
    get = obstore.get

    def breaks(store: object, key: str) -> object:
        asked.append(key.rsplit("/", 1)[-1])
        if len(asked) == 3:
            raise obstore.exceptions.GenericError("connection reset")
        return get(store, key)

    monkeypatch.setattr(obstore, "get", breaks)
    monkeypatch.setattr(shared, "AT_ONCE", 1)
    with pytest.raises(OSError, match="connection reset") as caught:
        shared.fetch(there)
    assert caught.value.errno == errno.EIO and not there.exists()
    assert shared.fetch(there) and len(texts(there)) == 3
    assert sorted(asked) == sorted(["index.json", "x", "y", "index.json", "y", "z"])


def test_other_bytes_than_were_published_are_refused(machine: Machine) -> None:
    folder = fill(machine("a") / "checkpoints/1", model="weights")
    shared.publish(folder)
    (key,) = [o["path"] for some in obstore.list(object_store(), prefix="files") for o in some]
    obstore.put(object_store(), key, b"WEIGHTS")
    there = machine("b") / "checkpoints/1"
    with pytest.raises(OSError, match=r"other bytes of files/checkpoints/1/.*/model than"):
        shared.fetch(there)
    assert not there.exists()


def test_an_index_leads_nowhere_else(machine: Machine) -> None:
    folder = fill(machine("a") / "checkpoints/1", x="1")
    staged = shared.stage(folder)
    staged.index["files"]["../../x"] = staged.index["files"].pop("x")  # type: ignore[index]
    staged.publish()
    with pytest.raises(OSError, match=r"names '\.\./\.\./x', which leads out of it"):
        shared.fetch(machine("b") / "checkpoints/1")


def test_a_full_disk_says_so_before_anything_is_fetched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.publish(fill(machine("a") / "datasets/1", x="1" * 5000))
    there = machine("b") / "datasets/1"
    monkeypatch.setattr(shared.disk, "free_bytes", lambda path: settings().reserve_bytes + 4000)
    with pytest.raises(OSError, match=r"no room for the 5\.0 kB of datasets/1") as caught:
        shared.fetch(there)
    assert caught.value.errno == errno.ENOSPC


def test_a_mirror_has_what_others_have_and_nothing_that_is_gone(machine: Machine) -> None:
    plays = machine("a") / "plays"
    for part in ("one/000", "one/001", "two/000"):
        shared.publish(fill(plays / part, facts=part))
    mirrored = machine("b") / "plays"
    own = fill(mirrored / "three/000", facts="not sent yet")
    shared.mirror(mirrored)
    assert texts(mirrored / "one") == {"000/facts": "one/000", "001/facts": "one/001"} | {
        name: text for name, text in texts(mirrored / "one").items() if name.endswith(shared.COPY)
    }
    machine("a")
    shared.forget(plays / "one")
    machine("b")
    shared.mirror(mirrored)
    assert not (mirrored / "one/000").exists() and (mirrored / "two/000").is_dir() and own.is_dir()


def test_a_store_out_of_reach_is_an_os_error_soon(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(machine("a") / "datasets/1", x="1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TERRARIUM_ARTIFACTS_URL", "s3://elsewhere")
    settings.cache_clear()
    begun = time.monotonic()
    with pytest.raises(OSError, match="the object store failed at"):
        shared.publish(folder)
    with pytest.raises(OSError, match="the object store failed at"):
        shared.fetch(folder)
    assert time.monotonic() - begun < 60


def test_without_a_store_nothing_is_touched(data_dir: Path) -> None:
    folder = fill(data_dir / "datasets/1", x="1")
    shared.publish(folder)
    assert shared.fetch(folder) and not shared.fetch(folder.with_name("2"))
    shared.mirror(data_dir / "plays")
    shared.forget(folder)
    assert [path.name for path in folder.iterdir()] == ["x"] and shared.copies() == []
