"""`terrarium add`, and the folder of `terrarium play --checkpoint`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from brought import MAKE, change_manifest, make_dataset, make_world_model, zipped
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from terrarium.api.assets import open_library
from terrarium.cli.adopt import adopt
from terrarium.cli.main import app
from terrarium.store.errors import InvalidInput
from terrarium.store.places import place
from terrarium.store.settings import settings
from terrarium.store.tables import Asset


def add(*argv: object) -> Any:
    return CliRunner().invoke(app, ["add", *map(str, argv)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_world_model(tmp_path / "out" / "harbour" / "world-model" / "output")


def test_a_running_server_lists_it_at_once(db: Session, folder: Path, tmp_path: Path) -> None:
    """DATABASE_URL names its database."""
    added = add(folder, "--data-dir", tmp_path / "data", "--json")
    assert added.exit_code == 0 and not added.stderr, added.output
    found = json.loads(added.stdout)
    asset = db.get_one(Asset, found["id"])
    assert (asset.type, asset.name, asset.made_by) == ("world-model", "harbour", None)
    assert asset.manifest["origin"]["from"] == str(folder) and asset.evaluation is not None
    assert Path(found["folder"]) == place("world-model", asset.id, tmp_path / "data")
    assert add(folder, "--data-dir", tmp_path / "data", "--name", "again").exit_code == 0
    assert db.query(Asset).count() == 1


@pytest.mark.parametrize("type", MAKE)
def test_where_no_server_runs_the_next_one_lists_it(
    db: Session, data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any, type: str
) -> None:
    path = MAKE[type](tmp_path_factory.mktemp("made") / "mine")
    (path.parent / "mine.zip").write_bytes(zipped(path, "mine/"))
    with monkeypatch.context() as patch:
        patch.setattr(settings(), "database_url", "")
        added = add(path.parent / "mine.zip", "--type", type, "--name", "Hafen")
    assert added.exit_code == 0 and "the next `terrarium up` lists it" in added.stderr, added.output
    assert added.stdout.startswith(f"{type} ") and db.query(Asset).count() == 0
    open_library()
    asset = db.get_one(Asset, added.stdout.split()[1])
    assert (asset.type, asset.name) == (type, "Hafen")


def test_only_the_files_of_the_type_are_copied(folder: Path, tmp_path: Path) -> None:
    for name in ("starts.npz", "notes.txt"):
        (folder / name).write_bytes(name.encode())
    taken = adopt(folder, tmp_path / "data", "world-model")
    files = ["evaluation.json", "manifest.json", "model.safetensors", "origin.json", "starts.npz"]
    assert sorted(p.name for p in taken.folder.iterdir()) == files
    assert adopt(folder, tmp_path / "data") == taken


def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no zip")
    (tmp_path / "empty").mkdir()
    data = make_dataset(tmp_path / "mine")
    for argv, says in (
        ((tmp_path / "lost",), "lost is not there: expected a folder or a zip"),
        ((tmp_path / "notes.txt",), "notes.txt: the archive is damaged, or no zip: "),
        (
            (tmp_path / "empty",),
            "empty: manifest.json is not there: expected the files of a dataset or ",
        ),
        ((data, "--type", "tokenizer"), "mine: its manifest.json is that of 'dataset', expected a tokenizer"),
        (
            (data, "--type", "spaceship"),
            "unknown type 'spaceship': expected one of dataset, ",
        ),
    ):
        failed = add(*argv, "--data-dir", tmp_path / "data")
        assert failed.exit_code == 2 and says in failed.stderr and failed.stderr.count("\n") == 1, failed.output
    assert [p.name for p in (tmp_path / "data").rglob("*")] in ([], ["incoming"])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("model.safetensors", b"junk", "is not a safetensors file"),
        ("model.safetensors", None, "model.safetensors is missing"),
        ("manifest.json", b"{", "is not JSON"),
        ("manifest.json", b'{"format_version": 1, "kind": "tokenizer"}', "of 'tokenizer', expected a world-model"),
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
        adopt(folder, tmp_path / "data", "world-model")
    assert not (tmp_path / "data" / "checkpoints").exists()


@pytest.mark.parametrize("odd", ["nul \0", float("nan"), "x" * 200])
def test_what_a_database_does_not_take_is_left_out(db: Session, tmp_path: Path, odd: Any) -> None:
    """Of a manifest's values and of the folder's name, which become a row."""
    folder = make_dataset(tmp_path / "odd \udcff name")
    change_manifest(folder, report={"note": odd})
    added = add(folder, "--data-dir", tmp_path / "data")
    assert added.exit_code == 0, added.output
    asset = db.get_one(Asset, added.stdout.split()[1])
    assert asset.name == "odd ? name" and "report" in asset.manifest


def test_a_training_says_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from terrarium.cli import console

    made = make_world_model(tmp_path / "made")
    out = tmp_path / "my out"

    def recipe(config: Any, folder: Path, progress: Any) -> dict[str, Any]:
        shutil.copytree(made, folder / "output")
        return {"loss": 1.0}

    kind = console.kinds()["world-model.train"]
    monkeypatch.setattr(type(kind), "load", lambda self: recipe)
    argv = ["train", "world-model", "--data", str(make_dataset(tmp_path / "data")), "--out", str(out)]
    trained = CliRunner().invoke(app, argv)
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["checkpoint"] == f"{out}/world-model/output"
    (command,) = re.findall(r"Play it: terrarium (play .*)\n", trained.stderr)
    assert command == f"play --checkpoint '{out}/world-model/output'"
    (command,) = re.findall(r"terrarium (add .*)\n", trained.stderr)
    assert command == f"add '{out}/world-model/output'"
