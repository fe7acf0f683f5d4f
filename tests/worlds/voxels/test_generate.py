"""Recipe `world.generate`: a world from pictures, resumed exactly, exported whole; bad input is refused first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.map_json import BlockMap, read_map, write_map
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import RecipeError, Silent, Stopped
from terrarium.worlds.voxels import export, generate, grid, memory
from terrarium.worlds.voxels.manifest import check_world

ROW = kinds()["world.generate"]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("target") / "map.json"
    write_map(file, BlockMap(structure(5).blocks[4:12, :8, 4:12].copy()))
    return file


@pytest.fixture(autouse=True)
def short_turntable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TURN", 4)


def config(target: Path | None, **fields: Any) -> Any:
    values = {"target": target and str(target), "steps": 6, "views": 4, "image": 32, "log_every": 1, "image_every": 3}
    return ROW.read(values | fields)


class Told(Silent):
    def __init__(self, stop_after: int = 10**9) -> None:
        self.seen: dict[int, dict[str, float]] = {}
        self.names: list[str] = []
        self.stop_after = stop_after

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.setdefault(step, {}).update(values)

    def preview(self, name: str, path: Path) -> None:
        self.names.append(path.name)

    def stop_requested(self) -> bool:
        return len(self.seen) >= self.stop_after


def test_a_run_makes_an_asset_with_all_its_files(target: Path, tmp_path: Path) -> None:
    told = Told()
    result = ROW.run(config(target, coarse=[2], coarse_steps=[2]), tmp_path, told)
    output = tmp_path / "output"
    assert {path.name for path in output.iterdir()} == {
        "manifest.json", "map.json", "world.glb", "turntable.mp4", "thumbnail.png", "train.jsonl",
    }  # fmt: skip
    check_world(output)
    assert {"iou", "iou_full", "hard_psnr", "material_accuracy", "seconds", "table"} <= set(result)
    lines = [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert set(lines[0]["losses"]) == {"total", "sds", "sparsity", "entropy", "smooth", "connectivity"}
    assert {"turntable.gif", "thumbnail.png"} <= set(told.names)
    assert read_map(output / "map.json").blocks.shape == (8, 8, 8)


def test_a_stopped_run_goes_on_to_the_same_world(target: Path, tmp_path: Path) -> None:
    whole, first, rest = Told(), Told(stop_after=4), Told()
    ROW.run(config(target), tmp_path / "whole", whole)
    with pytest.raises(Stopped):
        ROW.run(config(target), tmp_path / "cut", first)
    ROW.run(config(target), tmp_path / "cut", rest)
    assert {step: values["loss"] for step, values in (first.seen | rest.seen).items()} == {
        step: values["loss"] for step, values in whole.seen.items()
    }
    names = [tmp_path / name / "output" / "train.jsonl" for name in ("whole", "cut")]
    assert names[0].read_text() == names[1].read_text()
    maps = [read_map(name.with_name("map.json")).blocks for name in names]
    np.testing.assert_array_equal(*maps)


def test_a_start_world_that_is_the_target_stays_it(target: Path, tmp_path: Path) -> None:
    result = ROW.run(config(target, start=str(target), steps=1), tmp_path, Silent())
    assert (result["iou"], result["iou_full"], result["material_accuracy"]) == (1, 1, 1)
    assert result["hard_psnr"] == 99


def test_a_gradient_that_is_not_a_number_names_its_step(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(occupancy: torch.Tensor) -> torch.Tensor:
        return occupancy.sum() * torch.nan

    monkeypatch.setattr(generate.regularisers, "sparsity", broken)
    with pytest.raises(RecipeError, match="step 1: loss nan") as failed:
        ROW.run(config(target), tmp_path, Silent())
    assert failed.value.code == "nan_loss"


def refused(out: Path, **fields: Any) -> str:
    with pytest.raises(ValueError) as said:
        ROW.run(config(**fields), out, Silent())
    assert not out.exists(), "work began"
    return str(said.value)


def test_what_cannot_work_is_refused_before_any_work(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, data = tmp_path / "out", json.loads(target.read_text())
    assert "expected [16, 16, 16]" in refused(out, target=target, size=16)
    assert "a multiple of 8" in refused(out, target=target, size=20)
    assert "target" in refused(out, target=None)
    assert "prompts" in refused(out, target=target, guidance="blocks")
    assert "at least 1 character" in refused(out, target=target, prompts=["  "])
    assert "one a prompt" in refused(out, target=target, prompts=["a house"], prompt_weights=[1, 2])
    assert "is not there: expected a map.json" in refused(out, target=tmp_path / "nowhere.json")
    assert "coarse 3 does not divide" in refused(out, target=target, coarse=[3], coarse_steps=[1])
    with monkeypatch.context() as poor:
        poor.setattr(memory, "free_bytes", lambda device: 10**5)
        assert "takes about" in refused(out, target=target)
    data["blocks"][3]["blockType"] = "Lava"
    (tmp_path / "bad.json").write_text(json.dumps(data))
    assert "block 3 at" in refused(out, target=tmp_path / "bad.json")


def test_inits_are_those_of_the_grid() -> None:
    assert set(ROW.schema["properties"]["init"]["enum"]) == set(grid.INITS)


def test_memory_is_cubic() -> None:
    assert memory.needed_bytes((64, 64, 64), 64) > 7 * memory.needed_bytes((32, 32, 32), 64)
