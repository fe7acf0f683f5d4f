from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from cli.adopt import add_checkpoint, copy_checkpoint
from store.errors import InvalidInput
from store.places import place, shipped_folder
from store.tables import Asset

ID = str(uuid4())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(shipped_folder(), tmp_path / "mine")


def test_a_copied_checkpoint_brings_the_starts_that_it_plays_from(folder: Path, tmp_path: Path) -> None:
    for name in ("starts.npz", "notes.txt"):
        (folder / name).write_bytes(name.encode())
    target = place("world-model", copy_checkpoint(folder, tmp_path / "data"), tmp_path / "data")
    files = ["evaluation.json", "manifest.json", "model.safetensors", "starts.npz"]
    assert sorted(p.name for p in target.iterdir()) == files
    assert copy_checkpoint(folder, tmp_path / "data") == target.name


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("model.safetensors", b"junk", "is not a safetensors file"),
        ("model.safetensors", None, "model.safetensors is not there"),
        ("manifest.json", b"{", "is not JSON"),
        ("manifest.json", b'{"format_version": 1, "kind": "tokenizer"}', "expected 'world-model'"),
        ("evaluation.json", b"[]", "expected a JSON object, found list"),
    ],
)
def test_what_cannot_be_played_is_not_adopted(
    folder: Path, tmp_path: Path, name: str, data: bytes | None, says: str
) -> None:
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    with pytest.raises(InvalidInput, match=says):
        copy_checkpoint(folder, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_weights_that_were_changed_are_not_adopted(folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    with pytest.raises(InvalidInput, match="differs from the sha256 in its manifest"):
        copy_checkpoint(folder, tmp_path / "data")


@pytest.mark.parametrize("odd", ["nul \0", "\udcff", float("nan")])
def test_what_a_database_does_not_take_is_left_out(db: Session, database_url: str, tmp_path: Path, odd: Any) -> None:
    """Of a manifest's values and of the folder's name, which become a row."""
    folder = place("world-model", ID, tmp_path)
    folder.mkdir(parents=True)
    note = "" if odd == "\udcff" else odd  # no JSON holds half a character
    (folder / "manifest.json").write_text(json.dumps({"kind": "world-model", "note": note}))
    add_checkpoint(database_url, tmp_path, ID, str(odd).replace("\0", ""))
    assert db.get_one(Asset, ID).manifest["kind"] == "world-model"
