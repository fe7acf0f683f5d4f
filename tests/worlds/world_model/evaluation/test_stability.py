import numpy as np
import pytest
import torch

from terrarium.worlds.world_model.evaluation.long import LOOKS
from terrarium.worlds.world_model.evaluation.realism import Side
from terrarium.worlds.world_model.evaluation.stability import WINDOW, churn, codes_per_frame, divergence


def test_churn_and_codes_per_frame():
    codes = torch.tensor([[[1, 1], [1, 1]], [[1, 2], [3, 4]]])
    assert codes_per_frame(codes) == pytest.approx(2.5)
    assert churn(codes[0], codes[1]) == pytest.approx(0.75) and churn(codes, codes) == 0


def side(walks, seed):
    about = np.random.default_rng(seed).uniform(0.8, 1.2, (2, walks, len(LOOKS)))
    empty = np.zeros((walks, len(LOOKS), 1), np.float32)
    return Side(empty, 0.3 * about[0], empty, 0.1 * about[1])


def test_pictures_that_cannot_be_read_diverge_when_they_do():
    own, real, other = side(4, 0), side(4, 1), side(40, 2)
    own.surely[0, 2 * WINDOW < LOOKS] /= 4
    own.straight[1, WINDOW < LOOKS] /= 4
    own.straight[2] = 0
    result = divergence(own, real, other)
    assert result["steps_to_divergence_by_rollout"][:3] == [2 * WINDOW, WINDOW, 0]
    assert result["steps_to_divergence_real"] > 4 * WINDOW


def test_a_real_walk_that_looks_at_a_wall_is_told():
    real = side(3, 1)
    real.surely[1:] = 0
    assert divergence(side(3, 0), real, side(40, 2))["steps_to_divergence_real"] == 0
