"""Whether a job's files will fit: asked when it is submitted, so that it does not fail hours later."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from store import disk
from store.errors import Conflict
from store.settings import settings
from store.tables import Dataset
from worlds.sizes import estimated_bytes


def check_room(session: Session, config: Mapping[str, Any]) -> None:
    """Conflict (disk_full) with the estimate and what lies on the disk, if the job would eat into the reserve.

    Nothing is checked on a gateway that does not see the workers' data directory.
    """
    data_dir = settings().data_dir
    if not data_dir.is_dir():
        return
    needed = estimated_bytes(config, _data_bytes(session, config))
    if disk.free_bytes(data_dir) - needed < settings().reserve_bytes:
        raise Conflict(
            f"{config['kind']} with this config takes about {disk.human(needed)}, and "
            f"{disk.human(settings().reserve_bytes)} are kept in reserve (TERRARIUM_RESERVE_MB); "
            f"{disk.describe(data_dir)}: remove something, or ask for less",
            code="disk_full",
        )


def _data_bytes(session: Session, config: Mapping[str, Any]) -> int:
    """Of the frames in the job's input."""
    if "plays" in config:
        return disk.size_of(settings().plays_dir)
    dataset = session.get(Dataset, UUID(config["data"])) if "data" in config else None
    if dataset is None:
        return 0
    frames = sum(episode["length"] for episode in dataset.manifest.get("episodes", ()))
    return frames * prod(dataset.manifest.get("frame_size", ())) * 3
