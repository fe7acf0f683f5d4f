"""One compilation for all tests here: about a minute."""

import subprocess
import sys

import numpy as np
import pytest

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.checkpoint import load_checkpoint, save_checkpoint
from terrarium.worlds.world_model.bench.step import row
from terrarium.worlds.world_model.frozen import MOST, FrozenStep, package_name
from terrarium.worlds.world_model.live import LiveModel


@pytest.fixture(scope="module")
def model(debug_model, tmp_path_factory):
    """One whose painter changes what is seen."""
    folder = tmp_path_factory.mktemp("painted") / "output"
    tensors, manifest = load_checkpoint(debug_model, "world-model")
    tensors["painter.out.weight"] += 0.3
    save_checkpoint(folder, "world-model", tensors, {k: v for k, v in manifest.items() if k != "sha256"})
    return folder


@pytest.fixture(scope="module")
def package(model, tmp_path_factory):
    made = tmp_path_factory.mktemp("compiled") / "step.pt2"
    command = [sys.executable, "-m", "terrarium.worlds.world_model.frozen", str(model), str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [file.name for file in made.parent.iterdir()] == [made.name], "scratch is left behind"
    return made


@pytest.mark.timeout(900)  # the compiler gives way to everybody else
@pytest.mark.parametrize("players", [1, 3, MOST, MOST + 1])
def test_frozen_play_is_eager_play(model, package, players):
    eager, frozen = LiveModel.load(model), LiveModel.load(model)
    frozen.frozen = FrozenStep(package)
    starts = [eager.context(eager.simulator(), seed) for seed in range(players)]
    a, b = ([live.start(*start) for start in starts] for live in (eager, frozen))
    actions = np.stack([act.action("w", yaw=0.5)] * players)
    for _ in range(4):
        one, two = (live.step(s, actions, np.zeros(players)) for live, s in ((eager, a), (frozen, b)))
        assert all((x.codes == y.codes).all() for x, y in zip(a, b, strict=True))
        assert np.abs(one.astype(int) - two).max() <= 1
    unpainted = LiveModel.load(model)
    unpainted.dynamics.painter.out.weight.data.zero_()
    other = [unpainted.start(*start) for start in starts]
    for _ in range(4):
        three = unpainted.step(other, actions, np.zeros(players))
    assert np.abs(one.astype(int) - three).mean() > 2


def test_a_row_of_the_bench_times_both_forms(model, package):
    dynamics = LiveModel.load(model).dynamics
    within, beyond = (row(dynamics, FrozenStep(package), n, 3) for n in (1, MOST + 1))
    assert within["times"] == pytest.approx(within["eager_ms"] / within["frozen_ms"], abs=0.1) and within["times"] > 0
    assert beyond["eager_ms"] > 0 and beyond["frozen_ms"] is beyond["times"] is None


def test_a_package_is_of_one_checkpoint(model):
    manifest = LiveModel.load(model).manifest
    assert package_name(manifest) == package_name(dict(manifest))
    assert package_name(manifest) != package_name(manifest | {"sha256": "0" * 64})
