"""A checkpoint folder from elsewhere becomes one of a data directory: `terrarium play --checkpoint FOLDER`."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from store.errors import InvalidInput
from store.places import place
from worlds.durable import new_folder
from worlds.json_file import read_object

FILES = ("manifest.json", "model.safetensors", "evaluation.json", "starts.npz")


def copy_checkpoint(folder: Path, data_dir: Path) -> str:
    """Copies it to checkpoints/<id>, unless it is there, and returns the id, which its weights give."""
    for name in FILES[:2]:
        if not (folder / name).is_file():
            raise InvalidInput(f"{folder / name} is not there: expected the folder of a world model's checkpoint")
    check_checkpoint(folder)
    with (folder / "model.safetensors").open("rb") as weights:
        id = str(uuid5(NAMESPACE_OID, hashlib.file_digest(weights, "sha256").hexdigest()))
    target = place("world-model", id, data_dir)
    if not target.is_dir():
        with new_folder(target) as draft:
            for name in FILES:
                if (folder / name).is_file():
                    shutil.copyfile(folder / name, draft / name)
    return id


def check_checkpoint(folder: Path) -> None:
    """Loads it as a player would. InvalidInput says what cannot be played, and why."""
    from worlds.world_model.live import LiveModel

    try:
        LiveModel.load(folder).simulator()
        for name in ("manifest.json", "evaluation.json"):
            if (folder / name).exists():
                read_object(folder / name)
    except (ValueError, OSError) as e:
        raise InvalidInput(f"{folder} cannot be played: {e}") from None


def add_checkpoint(database_url: str, data_dir: Path, id: str, name: str) -> None:
    """Its row, unless it has one."""
    from sqlalchemy.dialects.postgresql import insert

    from store.db import engine_for
    from store.tables import Asset
    from workers.recorder import clean

    folder = place("world-model", id, data_dir)
    evaluation = folder / "evaluation.json"
    row = insert(Asset).values(
        id=id,
        name=name.encode(errors="replace").decode(),
        type="world-model",
        manifest=clean(read_object(folder / "manifest.json")),
        evaluation=clean(read_object(evaluation)) if evaluation.is_file() else None,
    )
    with engine_for(database_url).begin() as connection:
        connection.execute(row.on_conflict_do_nothing())
