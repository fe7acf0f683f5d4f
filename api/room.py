"""Whether a job's files will fit: asked when it is submitted, so that it does not fail hours later."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from sqlalchemy.orm import Session

from terrarium.store import disk
from terrarium.store.settings import settings
from terrarium.store.tables import Asset
from terrarium.worlds.kinds import kinds


def check_room(session: Session, *configs: Mapping[str, Any]) -> None:
    """Conflict (disk_full) with the estimate and what is on the disk, if the jobs would eat into the reserve.

    Nothing is checked on a gateway that does not see the workers' data directory.
    """
    data_dir = settings().data_dir
    if not data_dir.is_dir():
        return
    needed = 0
    for config in configs:
        estimate = kinds()[config["kind"]].estimate
        needed += estimate(config, _frame_bytes(session, config)) if estimate else 0
    names = " and ".join(config["kind"] for config in configs)
    disk.check_room(data_dir, needed, f"{names} with this config")


def _frame_bytes(session: Session, config: Mapping[str, Any]) -> int:
    """Of the datasets and the recorded play that the job reads."""
    total = 0
    for field, slot in kinds()[config["kind"]].inputs.items():
        ids = slot.named(config.get(field))  # absent in a job from before there was such a field
        if slot.types == ("play",):
            total += sum(disk.size_of(settings().plays_dir / id) for id in ids or ("",))  # none named: all there are
        if "dataset" in slot.types:
            total += sum(_dataset_bytes(session, id) for id in ids)
    return total


def _dataset_bytes(session: Session, id: str) -> int:
    dataset = session.get(Asset, id)
    manifest = dataset.manifest if dataset is not None else {}
    frames = sum(episode["length"] for episode in manifest.get("episodes", ()))
    return frames * prod(manifest.get("frame_size", ())) * 3
