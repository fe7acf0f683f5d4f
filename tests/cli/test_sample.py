"""`terrarium sample` and `terrarium eval generator`: one JSON object each, mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from terrarium.cli.main import app
from terrarium.worlds.blocks.map_json import read_map
from terrarium.worlds.generators import evaluate
from terrarium.worlds.generators.kinds import train_debug
from terrarium.worlds.generators.train import new_generator, save_generator
from terrarium.worlds.voxels import export


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("generator") / "output"
    save_generator(out, new_generator(train_debug()), train_debug(), {})
    return out


def call(*argv: object) -> Any:
    return CliRunner().invoke(app, [str(part) for part in argv])


def test_worlds_are_drawn_one_a_seed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TURN", 4)
    flags = ["--generator", folder, "--preset", "debug", "--out", tmp_path]
    made = call("sample", "a tower", *flags, "--count", 2, "--seed", 7, "--json")
    assert made.exit_code == 0, made.output
    found = json.loads(made.stdout)
    assert [world["seed"] for world in found["worlds"]] == [7, 8] and found["prompt"] == "a tower"
    first, second = (read_map(world["map"]).blocks for world in found["worlds"])
    assert first.shape == (16, 16, 16) and (first != second).any()
    start = ["--start", found["worlds"][0]["map"], "--set", "dream=[0,8,0,16,16,16]"]
    inside = call("sample", "a tower", *flags[:4], *start, "--out", tmp_path / "inside")
    assert inside.exit_code == 0 and "map.json" in inside.stdout
    kept = read_map(tmp_path / "inside" / "0" / "output" / "map.json").blocks
    assert (kept[:, :8] == first[:, :8]).all()


def test_a_generator_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "KNOWN", 32)
    monkeypatch.setattr(evaluate, "TIMED", 1)
    flags = ["--worlds", 32, "--steps", 1, "--seed", 3]
    found = json.loads(call("eval", "generator", folder, *flags, "--json").stdout)
    asked = {"class_accuracy", "class_accuracy_real", "attribute_accuracy", "fd", "diversity", "novelty"}
    assert asked | {"seconds_a_world"} <= set(found)
    assert "structures:" in call("eval", "generator", folder, *flags).stdout


def test_a_mistake_is_one_line(folder: Path, tmp_path: Path) -> None:
    for argv, says in (
        (("quark", "--generator", folder), "no word that the model knows"),
        (("a tower", "--generator", tmp_path), "is no checkpoint: manifest.json is missing"),
        (("a tower", "--generator", folder, "--steps", 0), "steps: 0"),
        (("a tower", "--generator", folder, "--sampler", "heun"), "sampler: 'heun'"),
        (("a tower", "--generator", folder, "--start", tmp_path / "lost.json"), "is not there: expected a map.json"),
    ):
        failed = call("sample", *argv, "--out", tmp_path / "out")
        assert failed.exit_code == 2 and says in failed.stderr.splitlines()[-1], failed.output
