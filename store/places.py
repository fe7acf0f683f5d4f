"""Where the files of an asset lie: the only code that turns a type and an id into a folder."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from uuid import UUID

from store.settings import settings

SHIPPED = "shipped"  # id of the world model that comes with the project
FOLDERS = {"tokenizer": "checkpoints", "world-model": "checkpoints"}  # of any other type: its plural


def shipped_folder() -> Path:
    """In the package `worlds`, found without importing its parts. It need not be there."""
    return Path(str(files("worlds"))) / "world_model" / SHIPPED


def place(type: str, id: str) -> Path:
    """The folder of an asset, there or not. ValueError for an id that no asset can have."""
    if id == SHIPPED:
        return shipped_folder()
    return settings().data_dir.resolve() / FOLDERS.get(type, f"{type}s") / str(UUID(id))


def size_of(folder: Path) -> int:
    """Bytes of all files below it."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
