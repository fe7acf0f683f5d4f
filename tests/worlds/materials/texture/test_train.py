"""`texture.train`: phases that go on from each other, a plan that is killed in phase B, closed gates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_toys import Log

from terrarium.worlds.kinds import Conflict, kinds
from terrarium.worlds.materials.texture.kinds import TextureTrainConfig, train_debug
from terrarium.worlds.materials.texture.model import load_model
from terrarium.worlds.materials.texture.phases import HEADS
from terrarium.worlds.materials.texture.train import Best, train_texture
from terrarium.worlds.materials.texture.trainable import trainable

BRIEF: dict[str, Any] = {"epochs": 2, "patches": 4, "validated": 1, "val_fraction": 0.25}


class Killed(BaseException):
    pass


class UntilKilled(Log):
    kill_at = 0

    def step(self, step: int, total: int, phase: str = "") -> None:
        super().step(step, total, phase)
        if step == self.kill_at:
            raise Killed  # after the step, before its state is saved


def folders(clean: Path, game: Path | None = None, **models: Path) -> dict[str, str]:
    return (
        {"clean": str(clean)}
        | ({"game": str(game)} if game else {})
        | {k: str(v / "output") for k, v in models.items()}
    )


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, clean: Path, game: Path) -> Path:
    """A0, A, A_alb_syn and B in folders of their names."""
    out = tmp_path_factory.mktemp("plan")
    train_texture(replace(train_debug("A0", **folders(clean)), **BRIEF), out / "A0", Log())
    for phase in ("A", "A_alb_syn"):
        train_texture(replace(train_debug(phase, **folders(clean, start=out / "A0")), **BRIEF), out / phase, Log())
    train_texture(phase_b(clean, game, out), out / "B", Log())
    return out


def phase_b(clean: Path, game: Path, out: Path) -> TextureTrainConfig:
    return replace(train_debug("B", **folders(clean, game, start=out / "A", albedo=out / "A_alb_syn")), **BRIEF)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "output" / "model.safetensors")


def manifest(run: Path) -> dict[str, Any]:
    return json.loads((run / "output" / "manifest.json").read_text())


def test_a_run_killed_in_phase_b_and_resumed_ends_with_the_same_weights(
    plan: Path, clean: Path, game: Path, tmp_path: Path
) -> None:
    log = UntilKilled()
    log.kill_at = 2  # in the second of two epochs: the best of the first is in the state
    config = replace(phase_b(clean, game, plan), checkpoint_every_s=1e-9)  # a state after every step
    with pytest.raises(Killed):
        train_texture(config, tmp_path, log)
    assert not (tmp_path / "output").exists()
    train_texture(config, tmp_path, again := Log())
    assert again.resumed_at == 1 and manifest(tmp_path)["history"] == manifest(plan / "B")["history"]
    whole, resumed = weights(plan / "B"), weights(tmp_path)
    assert whole.keys() == resumed.keys() and all(whole[k].equal(resumed[k]) for k in whole)
    with pytest.raises(ValueError, match=r"belongs to another config or dataset .*lr 0.5, was"):
        train_texture(replace(config, lr=0.5), tmp_path, Log())


def test_b_goes_on_from_a_with_the_albedo_network_of_a_alb_syn(plan: Path) -> None:
    a, syn, b = (weights(plan / name) for name in ("A", "A_alb_syn", "B"))
    model, told = load_model(plan / "B" / "output")
    learned = trainable(model, "B")
    for name, tensor in b.items():
        before = name.replace(".base.", ".")
        if name not in learned:
            assert tensor.equal((syn if name.startswith("albedo.") else a)[before]), name
    assert any(not b[name].equal(a[name]) for name in learned if name in a)
    assert told["rank"] == 2 and told["checkpoint"] == "B" and told["name"] == "B_best"
    assert [each["checkpoint"] for each in told["phases"]] == ["A0", "A", "B"] and len(told["history"]) == 2


def test_a_alb_syn_trains_the_albedo_network_alone(plan: Path) -> None:
    before, after = weights(plan / "A0"), weights(plan / "A_alb_syn")
    changed = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
    assert changed == {"albedo"}


def test_a_head_is_trained_by_itself_and_a_release_is_recorded(
    plan: Path, clean: Path, game: Path, tmp_path: Path
) -> None:
    """C, C' and the first of D's jobs in one go: B's gate is closed, since it had two epochs."""
    closed = manifest(plan / "B")["gate"]
    assert closed == {"open": False, "why": "2 epochs, expected 3 or more", "rule": "gate"}
    config = replace(train_debug("C", **folders(clean, game, start=plan / "B")), **BRIEF)
    with pytest.raises(
        ValueError, match=r"start .* has a closed gate \(2 epochs, expected 3 or more\): expected it open"
    ):
        kinds()["texture.train"].run(config, tmp_path / "C", Log())
    released = replace(config, release="a trial")
    kinds()["texture.train"].run(released, tmp_path / "C", Log())
    assert manifest(tmp_path / "C")["released"] == [{"checkpoint": "B", "why": "a trial", "gate": closed["why"]}]
    config = replace(train_debug("Cp", **folders(clean, game, start=tmp_path / "C")), **BRIEF, release="a trial")
    kinds()["texture.train"].run(config, tmp_path / "Cp", Log())
    assert manifest(tmp_path / "Cp")["gate"]["open"]
    config = replace(train_debug("D", "metal", **folders(clean, game, start=tmp_path / "Cp")), **BRIEF)
    kinds()["texture.train"].run(config, tmp_path / "D", Log())
    before, after = weights(tmp_path / "Cp"), weights(tmp_path / "D")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and all(name.startswith("maps.heads.metal.") for name in changed)
    phases = manifest(tmp_path / "D")["phases"]
    assert [(p["checkpoint"], len(p["released"])) for p in phases[3:]] == [("C", 1), ("Cp", 1), ("D_metal", 0)]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"phase": "A"}, "start: none, but phase A goes on from A0"),
        ({"start": "x"}, "start: x, but phase A0 begins with new weights"),
        ({"phase": "B", "start": "x"}, "game: none, but phase B learns from a game's textures"),
        ({"phase": "D", "start": "x", "game": "y"}, "map: None, but phase D: expected a map for D"),
        ({"map": "ao"}, "map: ao, but phase A0: expected a map for D, and for no other phase"),
        ({"phase": "C", "start": "x", "game": "y", "albedo": "z"}, "only phase B takes an albedo network"),
    ],
)
def test_configs_that_contradict_themselves_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(Conflict, match=reason):
        TextureTrainConfig(clean="-", **given)


def test_what_does_not_fit_is_known_from_manifests() -> None:
    row = kinds()["texture.train"]
    config = train_debug("D", HEADS[1])
    a = {"checkpoint": "A", "gate": {"open": True}}
    assert row.misfits(config, {"start": a}) == {"start": "is the best of A, phase D goes on from D_metal"}
    assert row.misfits(train_debug("B"), {"start": a, "albedo": {"checkpoint": "A_alb_syn"}}) == {}
    swapped = row.misfits(config, {"clean": {"domain": "game"}, "game": {"domain": "game"}})
    assert swapped == {"clean": "has textures of the domain game, expected clean"}


def test_the_best_epoch_is_kept_and_comes_back() -> None:
    best = Best()
    for error, value in ((0.5, 1.0), (0.3, 2.0), (0.4, 3.0)):
        best.look(error, {"w": torch.tensor([value])}, {"clean": error})
    again = Best()
    again.load_state_dict(best.state_dict())
    assert (again.epoch, again.epochs, again.error) == (2, 3, 0.3) and again.figures == {"clean": 0.3}
    assert again.weights["w"].item() == 2.0 and Best().state_dict() == {}
