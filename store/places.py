"""Where the files of an asset lie: the only code that turns a type and an id into a folder."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from uuid import UUID

from terrarium.store.plays import play_place
from terrarium.store.settings import settings

SHIPPED = "shipped"  # id of the world model that comes with the project
FOLDERS = {"tokenizer": "checkpoints", "world-model": "checkpoints"}  # of any other type: its plural


def shipped_folder() -> Path:
    """In the package `worlds`, found without importing its parts. It need not be there."""
    return Path(str(files("terrarium.worlds"))) / "world_model" / SHIPPED


def place(type: str, id: str, data_dir: Path | None = None) -> Path:
    """The folder of an asset or of recorded play, there or not, in `data_dir` or else that of the settings.

    ValueError for what cannot be an id of that type.
    """
    data_dir = (data_dir or settings().data_dir).resolve()
    if id == SHIPPED:
        return shipped_folder()
    if type == "play":
        return play_place(data_dir / "plays", id)
    return data_dir / FOLDERS.get(type, f"{type}s") / str(UUID(id))
