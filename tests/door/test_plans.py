from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from terrarium.plans import run_plan, steps_of_playable
from terrarium.worlds.kinds import kinds
from terrarium.worlds.plans import BadStep, Step


class Runs:
    """Stands in for recipes: notes what it runs, and leaves what a recipe leaves."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.stop_at = ""

    def __call__(self, config: Any, folder: Path) -> dict[str, Any]:
        if config.kind == self.stop_at:
            raise KeyboardInterrupt
        (folder / "output").mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(config)))
        self.done.append(config.kind)
        return {"kind": config.kind}


def test_a_plan_goes_on_where_it_was(tmp_path: Path) -> None:
    steps, runs = steps_of_playable("a hut", "debug", None), Runs()
    runs.stop_at = "tokenizer.train"
    with pytest.raises(KeyboardInterrupt):
        run_plan(steps, tmp_path, runs)
    assert runs.done == ["world.generate", "dataset.record"]
    runs.stop_at = ""
    made = run_plan(steps, tmp_path, runs)
    assert runs.done == ["world.generate", "dataset.record", "tokenizer.train", "world-model.train"]
    assert made["world-model"].folder == tmp_path / "world-model" / "output"
    config = json.loads((tmp_path / "world-model" / "config.json").read_text())
    assert config["data"] == str(tmp_path / "recording" / "output")
    run_plan(steps, tmp_path, runs)
    assert len(runs.done) == 4, "all was done"


def test_a_step_that_changes_is_done_again_with_those_that_need_it(tmp_path: Path) -> None:
    steps, runs = steps_of_playable("a hut", "debug", None), Runs()
    run_plan(steps, tmp_path, runs)
    runs.done.clear()
    name, config = steps[1].name, steps[1].config
    run_plan([steps[0], Step(name, replace(config, seed=5)), *steps[2:]], tmp_path, runs)
    assert runs.done == ["dataset.record", "tokenizer.train", "world-model.train"]


def test_what_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    runs = Runs()
    missing = replace(kinds()["dataset.record"].presets["debug"](), map=str(tmp_path / "none"))
    with pytest.raises(BadStep, match=r"step walks: map .*none is not there: expected a block-world"):
        run_plan([*steps_of_playable("a hut", "debug", None), Step("walks", missing)], tmp_path, runs)
    with pytest.raises(ValueError, match="prompt: neither a prompt nor a world: expected one of them"):
        steps_of_playable("", "debug", None)
    with pytest.raises(ValueError, match="preset: 'huge'"):
        steps_of_playable("a hut", "huge", None)
    assert not runs.done
