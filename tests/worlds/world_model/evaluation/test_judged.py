import numpy as np
import pytest

from terrarium.worlds.world_model.evaluation.judged import WINDOWS, Reading, judged
from terrarium.worlds.world_model.judge.model import KEYS


def reading(own, real, held):
    features = np.zeros((*held.shape[:2], 1), np.float32)
    return Reading(held, own, real, features, features)


@pytest.fixture
def held():
    held = np.random.default_rng(0).random((4, 512, len(KEYS))) < 0.3
    held[:, :64, KEYS.index("jump")] = False
    return held


def test_a_perfect_model_reaches_the_ceiling_and_a_random_one_the_floor(held):
    result = judged(reading(held, held, held), seed=0)
    assert set(result["judge_f1"]) == set(WINDOWS)
    assert all(v in (1, None) for by_key in result["judge_share"].values() for v in by_key.values())
    assert set(result["judge_ceiling"].values()) == {1}
    assert all(0.2 < v < 0.4 for v in result["judge_floor"].values())
    random = np.random.default_rng(1).random(held.shape) < 0.3
    assert judged(reading(random, held, held), seed=0)["judge_f1"]["257-512"]["w"] == pytest.approx(0.3, abs=0.06)


def test_a_key_too_rare_in_a_window_has_no_figure_there(held):
    result = judged(reading(held, held, held), seed=0)
    assert result["judge_f1"]["17-64"]["jump"] is None and result["judge_share"]["1-16"]["jump"] is None
    assert result["judge_positives"]["1-16"]["jump"] == 0
    assert result["judge_f1"]["65-256"]["jump"] == 1
