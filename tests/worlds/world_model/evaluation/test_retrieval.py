import numpy as np
import pytest

from terrarium.worlds.world_model.evaluation.retrieval import nearest_is_own


def test_retrieval_has_a_ceiling_a_floor_and_fair_ties():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 255, (10, 500))
    assert nearest_is_own(truth + rng.normal(size=truth.shape), truth).mean() == 1
    always_the_first = np.broadcast_to(truth[0], truth.shape)
    assert nearest_is_own(always_the_first, truth).mean() == pytest.approx(0.1)
    assert nearest_is_own(truth, np.zeros_like(truth)).mean() == pytest.approx(0.1)
