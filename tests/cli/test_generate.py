"""`terrarium generate` and `terrarium worlds`: one JSON object each, files where it says, mistakes in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from brought import make_world
from typer.testing import CliRunner

from terrarium.cli.main import app
from terrarium.worlds.voxels import export
from terrarium.worlds.voxels.kinds import GenerateConfig, generate_words


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return make_world(tmp_path / "mine") / "map.json"


def call(*argv: object) -> Any:
    return CliRunner().invoke(app, [str(part) for part in argv])


def test_a_world_is_rebuilt_from_a_capture_set(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TURN", 4)
    taken = call("worlds", "capture", world, "--views", 3, "--image", 32, "--out", tmp_path / "set")
    assert json.loads(taken.stdout) == {"capture": str(tmp_path / "set"), "views": 3}
    found = {}
    for name, target in (("map", world), ("set", tmp_path / "set")):
        flags = ["--size", 16, "--steps", 2, "--set", "views=3", "--set", "image=32", "--json"]
        made = call("generate", "--target", target, *flags, "--out", tmp_path / name)
        assert made.exit_code == 0, made.output
        found[name] = json.loads(made.stdout)
        assert Path(found[name]["map"]).is_file()
    assert {"iou", "hard_psnr", "material_accuracy", "seconds", "map"} <= set(found["map"])
    assert "hard_psnr" in found["set"] and "iou" not in found["set"]


def test_a_world_is_looked_into(world: Path) -> None:
    table = json.loads(call("worlds", "table", world, "--json").stdout)
    gradient = json.loads(call("worlds", "gradient", world.parent, "--image", 64, "--json").stdout)
    assert gradient["finite"] and 0 < gradient["with_gradient"] <= gradient["blocks"] == table["solid"]
    assert "blocks have one" in call("worlds", "gradient", world, "--image", 64).stdout


def test_words_are_followed_as_the_shipped_prior_is_measured(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[GenerateConfig] = []

    def recorded(config: GenerateConfig, out: Path) -> dict[str, Any]:
        configs.append(config)
        return {}

    monkeypatch.setattr("terrarium.cli.generate.run_recipe", recorded)
    for argv in (("a stone tower",), ("a stone tower", "--start", world), ("a hut", "--guidance", "sd")):
        assert call("generate", *argv, "--json", "--out", tmp_path).exit_code == 0
    words, refined, other = configs
    assert words == generate_words("a stone tower") and words.finish
    assert refined == replace(words, start=str(world), size=None)
    assert other == GenerateConfig(prompts=("a hut",), guidance="sd")


def test_a_mistake_is_one_line(world: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(world.read_text().replace("Grass", "Lava", 1))
    for argv, says in (
        (("--target", bad), "of type 'Lava': unknown type"),
        (("--target", world, "--size", 20), "size: "),
        (("--target", world, "--size", 32), "has [16, 16, 16] blocks"),
        (("--guidance", "sdxl"), "prompts"),
        (("--target", tmp_path / "lost.json"), "is not there: expected a map.json"),
        ((), "target"),
    ):
        failed = call("generate", *argv, "--out", tmp_path / "out" / "world")
        assert failed.exit_code == 2 and says in failed.stderr.splitlines()[-1], failed.output
    assert not (tmp_path / "out").exists()


def test_a_mistake_leaves_the_folder_of_an_earlier_run_alone(world: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()
    assert call("generate", "--target", tmp_path / "lost.json", "--out", tmp_path / "out").exit_code == 2
    assert (tmp_path / "out" / "kept").exists()
