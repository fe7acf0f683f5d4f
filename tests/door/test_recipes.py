"""Record, train and evaluate from Python."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import terrarium
from terrarium import recipes


def test_from_a_recording_to_a_model_that_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int, str, Mapping[str, float]]] = []
    data = terrarium.record(tmp_path / "data", "debug", world="plains", progress=lambda *all: told.append(all))
    assert Path(data) == tmp_path / "data" and data.result["episodes"] == 6
    assert told[-1][:3] == (6, 6, "record") and not capsys.readouterr().out
    assert terrarium.open_dataset(data).manifest["source"]["terrain"] == "plains"
    made = terrarium.train_world_model(data, tmp_path / "out", "debug", steps=4, painter=False)
    assert Path(made) == tmp_path / "out" / "world-model" / "output" and made.result["steps"] == 4
    assert json.loads((tmp_path / "out" / "world-model" / "config.json").read_text())["steps"] == 4
    assert "world-model.train" in (printed := capsys.readouterr().out) and "loss" in printed
    world = terrarium.load(made, seed=1)
    assert world.play("w*2").shape == (2, 32, 32, 3)
    with pytest.raises(ValueError, match="already holds a dataset"):
        terrarium.record(tmp_path / "data", "debug", progress=False)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda out: terrarium.record(out, "debug", world="moon"), "world: 'moon': Input should be 'mixed', 'plains'"),
        (lambda out: terrarium.record(out, "tiny"), "unknown preset 'tiny' of dataset.record: expected one of debug"),
        (
            lambda out: terrarium.record(out, episode=3),
            "no field 'episode': expected one of world, map, structures, episodes, steps",
        ),
        (lambda out: terrarium.record(out, steps="many"), "steps: 'many': Input should be a valid integer"),
        (lambda out: terrarium.train_tokenizer(out / "none", out, levels=(16,) * 5), "levels: .* 1048576 codes"),
        (lambda out: terrarium.run("moon.train"), "unknown kind 'moon.train': expected one of dataset.record"),
        (lambda out: terrarium.run("tokenizer.train", out), "data: needed. Frames to train on"),
        (lambda out: terrarium.evaluate(episodes=0), "episodes 0: expected at least 1"),
        (lambda out: terrarium.evaluate(out / "none"), "none is not there: expected a checkpoint folder"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_interrupt_stops_and_the_same_call_goes_on(tmp_path: Path) -> None:
    def interrupt(step: int, total: int, phase: str, metrics: Mapping[str, float]) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        terrarium.record(tmp_path / "data", "debug", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    kept = tmp_path / "data.partial" / "output" / "episodes" / "000001" / "frames.npy"
    written = kept.stat().st_mtime_ns
    data = terrarium.record(tmp_path / "data", "debug", progress=False)
    assert (data.folder / "episodes" / "000001" / "frames.npy").stat().st_mtime_ns == written


def test_lines_are_printed_where_a_phase_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    lines = recipes.Lines("train")
    for step in range(4):
        lines(step, 3, "tokenizer", {"tokenizer/loss": 0.51234, "tokenizer/psnr": 12.0})
    lines(0, 1, "write", {})
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["train: tokenizer 0/3  loss 0.5123", "train: tokenizer 3/3  loss 0.5123", "train: write 0/1"]
