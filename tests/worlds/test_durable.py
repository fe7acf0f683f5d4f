"""What has its name is complete and synced; what failed leaves nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from terrarium.worlds import durable
from terrarium.worlds.durable import new_file, new_folder, write_text


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The syncs and renames, in the order in which the kernel is asked for them."""
    calls: list[str] = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def synced(fd: int) -> None:
        calls.append(f"sync {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")
        fsync(fd)

    def moved(act: object) -> object:
        def move(self: Path, target: Path) -> Path:
            calls.append(f"rename {target.name}")
            return act(self, target)  # type: ignore[operator]

        return move

    monkeypatch.setattr(durable.os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", moved(rename))
    monkeypatch.setattr(Path, "replace", moved(replace))
    yield calls


def test_a_file_is_synced_before_it_gets_its_name(tmp_path: Path, order: list[str]) -> None:
    write_text(tmp_path / "a.json", "{}")
    assert order == ["sync .a.json.partial", "rename a.json", f"sync {tmp_path.name}"]


def test_a_folder_and_its_files_are_synced_before_it_gets_its_name(tmp_path: Path, order: list[str]) -> None:
    with new_folder(tmp_path / "e") as draft:
        (draft / "one").write_text("1")
        (draft / "two").write_text("2")
    assert sorted(order[:2]) == ["sync one", "sync two"]
    assert order[2:] == ["sync .e.partial", "rename e", f"sync {tmp_path.name}"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with new_folder(tmp_path / "folder") as draft:
        (draft / "file").write_text("old")
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "file") as stream:
        stream.write(b"half")
        _ = 1 / 0
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "folder") as draft:
        (draft / "file").write_text("half")
        _ = 1 / 0
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "file").read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


def test_an_earlier_process_does_not_write_into_a_later_ones_file(tmp_path: Path) -> None:
    """It holds a draft open while another process writes the same file anew."""
    stale = (tmp_path / ".codes.npy.partial").open("wb")
    with new_file(tmp_path / "codes.npy") as file:
        np.save(file, np.arange(3))
    stale.write(b"late")
    stale.close()
    assert np.load(tmp_path / "codes.npy").tolist() == [0, 1, 2]
