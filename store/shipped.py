"""The checkpoint that comes with the project: a folder of the package `worlds`, found without importing its parts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SHIPPED = "shipped"  # its id


def shipped_folder() -> Path:
    """It need not be there."""
    return Path(str(files("worlds"))) / "world_model" / SHIPPED
