"""One tiny dataset and one tiny model for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_toys import Log

from terrarium.worlds.materials.dataset import make_dataset
from terrarium.worlds.materials.kinds import dataset_debug, train_debug
from terrarium.worlds.materials.train import train_material


@pytest.fixture(scope="session")
def debug_materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("materials")
    make_dataset(dataset_debug(), out, Log())
    return out / "output"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Log, dict[str, float]]:
    """A training's folder, what its progress was told, and its result."""
    out = tmp_path_factory.mktemp("trained")
    result = train_material(train_debug(), out, log := Log())
    return out, log, result
