import json

import numpy as np
import pytest

from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.generators import evaluate as evaluation
from terrarium.worlds.generators.classifier import accuracy, load_classifier, shipped_classifier
from terrarium.worlds.generators.data import held_out
from terrarium.worlds.generators.evaluate import evaluate, novelty, spread
from terrarium.worlds.generators.model import load_generator, shipped_generator
from terrarium.worlds.generators.samplers import Plan, sample


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


def test_the_shipped_generator_draws_what_is_said() -> None:
    made = held_out(500, 16, 16)
    drawn = sample(
        load_generator(shipped_generator())[0],
        [each.caption for each in made],
        Plan(seeds=tuple(range(16)), sampler="dpm", steps=6),
    )
    found = accuracy(load_classifier(shipped_classifier()).read(drawn)[1], made)
    assert found["class"] >= 0.8 and found["material"] >= 0.7 and found["size"] >= 0.7
