"""On synthetic readings, whose figures are known."""

import numpy as np
import pytest

from terrarium.worlds.world_model.evaluation.judged import WINDOWS
from terrarium.worlds.world_model.evaluation.long import HELD, LOOKS, OTHERS, RANDOM
from terrarium.worlds.world_model.evaluation.realism import FIGURES, STRUCTURE, Side, figures, look, realism
from terrarium.worlds.world_model.probe.model import FEATURES, Probe

WALKS = 8


def side(rng, walks=WALKS, shift=0.0, wider=1.0, surely=0.3, straight=0.1, upright=0.9):
    """Features are those of a place for each walk, and of what is seen there."""
    shape = (walks, len(LOOKS))
    features = rng.normal(size=(walks, 1, FEATURES)) + wider * rng.normal(size=(*shape, FEATURES)) + shift
    sky = np.stack([np.full(shape, 20), rng.binomial(20, upright, shape)], axis=-1)
    about = rng.normal(1, 0.05, (2, *shape))
    return Side(features.astype(np.float32), surely * about[0], sky, straight * about[1])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_what_is_real_comes_out_as_one_and_a_half(rng):
    found = figures(side(rng), side(rng), side(rng, OTHERS * WALKS), seed=0)
    assert set(found) == {*FIGURES, *STRUCTURE}
    value, spread = ({k: f[i] for k, f in found.items()} for i in (0, 1))
    assert value.pop("two_sample_error") == pytest.approx(0.5, abs=0.15)
    assert value.pop("kid_ratio") == pytest.approx(1, abs=0.5)
    assert all(v == pytest.approx(1, abs=0.15) for v in value.values()), value
    assert all(0 <= s < 0.6 for s in spread.values()), spread


def test_the_farther_from_real_the_worse(rng):
    real, other = side(rng), side(rng, OTHERS * WALKS)
    worse = [side(rng, shift=s, surely=0.3 - 0.2 * s, straight=0.1 - 0.08 * s, upright=0.9 - 0.4 * s) for s in (0.3, 1)]
    some, much = (figures(own, real, other, seed=0) for own in worse)
    for name in ("frechet_ratio", "kid_ratio"):
        assert 1.1 < some[name][0] < 0.8 * much[name][0]
    for name in ("two_sample_error", "legibility", "straight_edges", "horizon"):
        assert much[name][0] < some[name][0] < 1
    assert much["legibility"][0] == pytest.approx(0.1 / 0.3, rel=0.05)


def test_less_variety_is_seen_too(rng):
    real, other = side(rng), side(rng, OTHERS * WALKS)
    assert figures(side(rng, wider=0.3), real, other, seed=0)["frechet_ratio"][0] > 1.5


def test_every_kind_of_walk_and_window_has_its_figures(rng):
    three = side(rng), side(rng), side(rng, OTHERS * WALKS)
    result = realism(dict.fromkeys((RANDOM, *HELD), three), seed=0)
    assert set(result["realism"]) == set(WINDOWS) and set(result["realism"]["1-16"]) == set(FIGURES)
    assert set(result["realism_held"]) == set(HELD) and set(result["realism_spread"]) == {RANDOM, *HELD}
    assert set(result["realism_held"]["w"]["257-512"]) == set(FIGURES)
    assert set(result["realism_structure"]["s"]["17-64"]) == set(STRUCTURE)


def test_a_look_counts_sky_above_ground():
    frames = np.zeros((1, 4, 16, 16, 3), np.uint8)
    probe = Probe((16, 16)).eval()
    found = look(probe, 0.0, frames)
    assert found.surely.tolist() == [[1.0] * 4] and found.sky.shape == (1, 4, 2)
    assert np.isnan(found.straight).tolist() == [[False, True, False, True]]
    assert look(probe, 1.1, frames).surely.max() == 0


def test_walks_that_all_face_a_wall_have_finite_figures():
    shape = (2, len(LOOKS))
    nothing = Side(np.zeros((*shape, FEATURES)), np.zeros(shape), np.zeros((*shape, 2), np.int64), np.zeros(shape))
    found = figures(nothing, nothing, nothing, seed=0)
    assert found["horizon"][0] == found["legibility"][0] == found["straight_edges"][0] == 1
    assert all(np.isfinite(both).all() for both in found.values())
