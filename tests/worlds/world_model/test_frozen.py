"""One compilation for all tests here: about a minute."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.checkpoint import load_checkpoint, save_checkpoint
from terrarium.worlds.precision import computing_in, convolving_in_bf16
from terrarium.worlds.world_model.bench.step import row
from terrarium.worlds.world_model.forms import MOST, SIZES, Form
from terrarium.worlds.world_model.frozen import FrozenStep, Package, example, folder_name
from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.rollout import step

FORM = Form("fp32", SIZES[-1])


@pytest.fixture(scope="module")
def model(debug_model, tmp_path_factory):
    """One whose painter changes what is seen."""
    folder = tmp_path_factory.mktemp("painted") / "output"
    tensors, manifest = load_checkpoint(debug_model, "world-model")
    tensors["painter.out.weight"] += 0.3
    save_checkpoint(folder, "world-model", tensors, {k: v for k, v in manifest.items() if k != "sha256"})
    return folder


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Of compiled steps, with one package in it."""
    made = FORM.package(tmp_path_factory.mktemp("compiled"))
    command = [sys.executable, "-m", "terrarium.worlds.world_model.frozen", str(model), str(FORM), str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {file.name for file in made.parent.iterdir()} == {made.name, f"{FORM}.json"}, "scratch is left behind"
    return made.parent


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.timeout(900)  # the compiler gives way to everybody else
@pytest.mark.parametrize("players", [1, 3, 2 * FORM.players + 1, MOST + 1])
def test_frozen_play_is_eager_play(model, folder, players, two_threads):
    eager, frozen = LiveModel.load(model), LiveModel.load(model)
    frozen.frozen = FrozenStep(folder, [FORM])
    frozen.frozen.gains = {FORM: dict.fromkeys(FORM.measured, 99.0)}  # whatever a busy machine found
    assert (frozen.frozen.best(players, 2) is None) == (players == MOST + 1)
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


def test_what_was_measured_is_said(folder):
    frozen = FrozenStep(folder, [FORM])
    assert set(frozen.gains) == {FORM} and set(frozen.gains[FORM]) == set(FORM.measured)
    frozen.gains = {FORM: {4: 1.2, 8: 1.3, MOST: 0.9}}
    assert str(frozen) == "1: eager; 2: eager; 4: fp32-4, 1.20x; 8: fp32-4, 1.30x; 16: eager"


def test_a_row_of_the_bench_times_every_form(model, folder):
    dynamics, packages = LiveModel.load(model).dynamics, {FORM: Package(FORM.package(folder), FORM)}
    found = row(dynamics, packages, FORM.players + 1, 3, ["fp32", "bf16"])
    times = {name: found.pop(f"{name}_ms") for name in ("eager_fp32", "eager_bf16", "frozen_fp32", "frozen_bf16")}
    assert list(found) == ["players", "fastest", "times"] and times.pop("frozen_bf16") is None
    names = {"eager-fp32": "eager_fp32", "eager-bf16": "eager_bf16", str(FORM): "frozen_fp32"}
    assert times[names[found["fastest"]]] == min(times.values())
    assert found["times"] == pytest.approx(times["eager_fp32"] / min(times.values()), rel=0.1)


@torch.inference_mode()
def test_convolutions_alone_are_rounded(model):
    """A step whose convolutions are in bf16 stands as near to fp32 as one under autocast."""
    full = LiveModel.load(model).dynamics
    half = convolving_in_bf16(copy.deepcopy(full))
    assert {p.dtype for p in half.head.parameters()} == {torch.float32, torch.bfloat16}
    given = example(full, 2)
    exact, rounded = (step(d, *given).memory.layers for d in (full, half))
    with computing_in("bf16", full.device):
        cast = step(full, *given).memory.layers

    def apart(layers):
        return max(((a - b).norm() / b.norm()).item() for a, b in zip(layers, exact, strict=True))

    assert 0 < apart(rounded) < 2 * apart(cast) < 0.1


def test_a_folder_is_of_one_checkpoint(model):
    manifest = LiveModel.load(model).manifest
    assert folder_name(manifest) == folder_name(dict(manifest))
    assert folder_name(manifest) != folder_name(manifest | {"sha256": "0" * 64})
