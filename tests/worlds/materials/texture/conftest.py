"""Two tiny domains for all tests of this folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from terrarium.worlds.materials.texture.dataset import make_textures
from terrarium.worlds.materials.texture.kinds import dataset_debug
from terrarium.worlds.progress import Silent


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clean")
    make_textures(replace(dataset_debug("clean"), materials=8), out, Silent())
    return out / "output"


@pytest.fixture(scope="session")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("game")
    make_textures(replace(dataset_debug("game", 100), materials=8), out, Silent())
    return out / "output"
