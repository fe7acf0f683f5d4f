"""One compilation for all tests here: about a minute."""

import subprocess
import sys

import numpy as np
import pytest

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.world_model.bench.step import row
from terrarium.worlds.world_model.frozen import MOST, FrozenStep, package_name
from terrarium.worlds.world_model.live import LiveModel


@pytest.fixture(scope="module")
def package(debug_model, tmp_path_factory):
    made = tmp_path_factory.mktemp("compiled") / "step.pt2"
    command = [sys.executable, "-m", "terrarium.worlds.world_model.frozen", str(debug_model), str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [file.name for file in made.parent.iterdir()] == [made.name], "scratch is left behind"
    return made


@pytest.mark.timeout(900)  # the compiler gives way to everybody else
@pytest.mark.parametrize("players", [1, 3, MOST, MOST + 1])
def test_frozen_play_is_eager_play(debug_model, package, players):
    eager, frozen = LiveModel.load(debug_model), LiveModel.load(debug_model)
    frozen.frozen = FrozenStep(package)
    starts = [eager.context(eager.simulator(), seed) for seed in range(players)]
    a, b = ([model.start(*start) for start in starts] for model in (eager, frozen))
    actions = np.stack([act.action("w", yaw=0.5)] * players)
    for _ in range(4):
        one, two = (model.step(s, actions, np.zeros(players)) for model, s in ((eager, a), (frozen, b)))
        assert all((x.codes == y.codes).all() for x, y in zip(a, b, strict=True))
        assert np.abs(one.astype(int) - two).max() <= 1


def test_a_row_of_the_bench_times_both_forms(debug_model, package):
    dynamics = LiveModel.load(debug_model).dynamics
    within, beyond = (row(dynamics, FrozenStep(package), n, 3) for n in (1, MOST + 1))
    assert within["times"] == pytest.approx(within["eager_ms"] / within["frozen_ms"], abs=0.1) and within["times"] > 0
    assert beyond["eager_ms"] > 0 and beyond["frozen_ms"] is beyond["times"] is None


def test_a_package_is_of_one_checkpoint(debug_model):
    manifest = LiveModel.load(debug_model).manifest
    assert package_name(manifest) == package_name(dict(manifest))
    assert package_name(manifest) != package_name(manifest | {"sha256": "0" * 64})
