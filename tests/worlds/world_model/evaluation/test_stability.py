import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.walk import Walker
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.world_model.evaluation.long import BEFORE, Walks
from terrarium.worlds.world_model.evaluation.stability import WINDOW, Features, churn, codes_per_frame, divergence
from terrarium.worlds.world_model.evaluation.states import stroll


def test_churn_and_codes_per_frame():
    codes = torch.tensor([[[1, 1], [1, 1]], [[1, 2], [3, 4]]])
    assert codes_per_frame(codes) == pytest.approx(2.5)
    assert churn(codes[0], codes[1]) == pytest.approx(0.75) and churn(codes, codes) == 0


@pytest.fixture(scope="module")
def clips():
    """Real walks through eight worlds, uint8 [8, BEFORE + 4 windows, 32, 32, 3]."""
    world = BlockWorld(width=32, height=32, terrain="plains")
    found = []
    for seed in range(8):
        world.reset(seed)
        found.append(stroll(world, Walker(np.random.default_rng(seed)), BEFORE + 4 * WINDOW)[1])
    return np.stack(found)


def test_pictures_that_fade_diverge_when_they_do(clips):
    real, others = clips[:4], clips[4:]
    own = real.copy()
    own[0, BEFORE + 2 * WINDOW :] //= 8
    own[1, BEFORE + WINDOW :] = 90  # nothing left to see
    own[2, BEFORE:] = 90
    walks = Walks(np.zeros((4, 4 * WINDOW, 9), np.float32), real, own)
    result = divergence(walks, others, None)
    assert result["steps_to_divergence_by_rollout"] == [2 * WINDOW, WINDOW, 0, 4 * WINDOW]
    assert result["steps_to_divergence"] == 1.5 * WINDOW
    assert result["edge_energy_curve"]["steps"] == [32, 64, 96, 128]


def test_features_unlike_any_real_window_are_a_divergence_too(clips):
    real = clips[:4]
    features = np.random.default_rng(0).normal(size=(4, 4 * WINDOW, 5))
    own = features.copy()
    own[3, 3 * WINDOW :] += 2
    walks = Walks(np.zeros((4, 4 * WINDOW, 9), np.float32), real, real)
    result = divergence(walks, real, Features(own, features, features))
    assert result["steps_to_divergence_by_rollout"] == [4 * WINDOW] * 3 + [3 * WINDOW]


def test_a_real_walk_is_held_against_the_others_not_itself(clips):
    real = clips[:4].copy()
    real[0, BEFORE + WINDOW :] = 90
    walks = Walks(np.zeros((4, 4 * WINDOW, 9), np.float32), real, real)
    result = divergence(walks, clips[4:], None)
    assert result["steps_to_divergence"] == 4 * WINDOW and result["steps_to_divergence_real"] < 4 * WINDOW
