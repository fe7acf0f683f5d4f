import numpy as np
import pytest

from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.progress import Silent
from terrarium.worlds.voxels import judge
from terrarium.worlds.voxels.prior.data import shown


def test_the_shipped_judge_names_held_out_structures() -> None:
    shipped = judge.load_judge(judge.shipped_judge())
    named = []
    for name in judge.NAMES:
        found = shipped.probabilities(structure(77, name=name, split="held_out").blocks)
        assert found.shape == (16,) and found.sum() == pytest.approx(1, abs=1e-4)
        named.append(judge.NAMES[int(found.argmax())])
    assert sum(a == b for a, b in zip(named, judge.NAMES, strict=True)) >= 15


def test_a_judge_is_trained_saved_and_loaded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(judge, "accuracy", lambda *_: {"held_out_accuracy": 0.5})
    judge.train_judge(tmp_path, Silent(), steps=2, batch=2)
    fresh = judge.load_judge(tmp_path / "output")
    assert fresh.probabilities(shown(np.random.default_rng(0)).structure.blocks).shape == (16,)
