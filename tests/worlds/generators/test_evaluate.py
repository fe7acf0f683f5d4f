import json

import numpy as np
import pytest

from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.generators import evaluate as evaluation
from terrarium.worlds.generators.evaluate import evaluate, novelty, spread


def test_an_evaluation_is_its_seed(folder, monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "KNOWN", 32)
    monkeypatch.setattr(evaluation, "TIMED", 1)
    first, again = (evaluate(folder, 3, worlds=32, steps=2) for _ in range(2))
    for found in (first, again):
        assert found.pop("seconds_a_world") >= 0
    assert first == again and json.dumps(first, allow_nan=False)
    names = {"class_accuracy", "class_accuracy_real", "attribute_accuracy", "fd", "diversity", "novelty"}
    assert names <= set(first) and first["class_accuracy_real"] > 0.9 > first["class_accuracy"]
    assert first["fd"] > first["fd_real"] >= 0


def test_spread_is_the_mean_distance_of_two() -> None:
    assert spread(np.array([[0.0, 0], [3, 4], [3, 4]])) == pytest.approx(10 / 3)


def test_novelty_is_what_the_nearest_structure_lacks() -> None:
    known = [structure(seed).blocks for seed in range(4)]
    assert novelty([known[1]], known) == pytest.approx(0)
    half = known[1].copy()
    half[:, 1:] = 0
    shares = [((half == k) & (half > 0)).sum() / ((half > 0) | (k > 0)).sum() for k in known]
    assert novelty([half], known) == pytest.approx(1 - max(shares), abs=1e-6)


def test_a_seed_below_zero_is_refused(folder) -> None:
    with pytest.raises(ValueError, match="seed -1: expected 0 to 9999"):
        evaluate(folder, -1)
