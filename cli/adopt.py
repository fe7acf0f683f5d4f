"""A checkpoint folder from elsewhere becomes one of a data directory: `terrarium play --checkpoint FOLDER`."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from store.errors import InvalidInput
from store.places import place
from worlds.durable import new_folder

FILES = ("manifest.json", "model.safetensors", "evaluation.json", "starts.npz")


def copy_checkpoint(folder: Path, data_dir: Path) -> str:
    """Copies it to checkpoints/<id>, unless it is there, and returns the id, which its weights give."""
    for name in FILES[:2]:
        if not (folder / name).is_file():
            raise InvalidInput(f"{folder / name} is not there: expected the folder of a world model's checkpoint")
    if read_json(folder / "manifest.json").get("kind") != "world-model":
        raise InvalidInput(f"{folder} holds no world model: its manifest's kind is not 'world-model'")
    with (folder / "model.safetensors").open("rb") as weights:
        id = str(uuid5(NAMESPACE_OID, hashlib.file_digest(weights, "sha256").hexdigest()))
    target = place("world-model", id, data_dir)
    if not target.is_dir():
        with new_folder(target) as draft:
            for name in FILES:
                if (folder / name).is_file():
                    shutil.copyfile(folder / name, draft / name)
    return id


def add_checkpoint(database_url: str, data_dir: Path, id: str, name: str) -> None:
    """Its row, unless it has one."""
    from sqlalchemy.dialects.postgresql import insert

    from store.db import engine_for
    from store.tables import Asset

    folder = place("world-model", id, data_dir)
    evaluation = folder / "evaluation.json"
    row = insert(Asset).values(
        id=id,
        name=name,
        type="world-model",
        manifest=read_json(folder / "manifest.json"),
        evaluation=read_json(evaluation) if evaluation.is_file() else None,
    )
    with engine_for(database_url).begin() as connection:
        connection.execute(row.on_conflict_do_nothing())


def read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise InvalidInput(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data
