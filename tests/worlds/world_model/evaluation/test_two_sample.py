import numpy as np
import pytest

from terrarium.worlds.world_model.evaluation.two_sample import errors


def test_the_same_distribution_cannot_be_told_apart_and_a_shift_can():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(16, 20, 6))
    assert errors(rng.normal(size=real.shape), real).mean() == pytest.approx(0.5, abs=0.05)
    some = errors(rng.normal(size=real.shape) + 0.6, real).mean()
    much = errors(rng.normal(size=real.shape) + 3.0, real).mean()
    assert much < 0.01 < some < 0.4
    assert errors(real, real).mean() == 0.5


def test_what_differs_from_walk_to_walk_tells_nothing():
    """Each walk has its own place, the same on both sides: a classifier that knew the walk would not be mistaken."""
    rng = np.random.default_rng(0)
    place = 10 * rng.normal(size=(16, 1, 6))
    own, real = (place + 0.1 * rng.normal(size=(16, 20, 6)) for _ in range(2))
    assert errors(own, real).mean() == pytest.approx(0.5, abs=0.06)


def test_one_walk_leaves_none_to_ask_about():
    with pytest.raises(ValueError, match=r"1 walks: .* expected at least 2"):
        errors(np.zeros((1, 4, 2)), np.zeros((1, 4, 2)))
