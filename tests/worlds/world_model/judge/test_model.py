import numpy as np
import pytest
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.walk import Walker
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.world_model.evaluation.states import stroll
from terrarium.worlds.world_model.judge.model import (
    KEYS,
    Judge,
    f1,
    labels,
    load_judge,
    mirror,
    shipped_judge,
    soften,
    to_clips,
)


def test_labels_are_the_probes_and_their_sums():
    each = labels(np.stack([act.probe(k) for k in KEYS]))
    assert np.array_equal(each, np.eye(len(KEYS), dtype=bool))
    both = labels(act.action("w", "jump", yaw=-0.1))
    assert {k for k, on in zip(KEYS, both, strict=True) if on} == {"w", "jump", "yaw-"}
    assert not labels(act.action("sprint")).any()


def test_f1():
    held = np.array([[1, 0], [1, 0], [0, 0], [0, 0]], bool)
    said = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], bool)
    assert f1(said, held).tolist() == [0.5, 0]


def test_reading_starts_with_the_action_after_the_second_frame():
    torch.manual_seed(0)
    judge = Judge((32, 32)).eval()
    frames = np.random.default_rng(0).integers(0, 256, (2, 7, 32, 32, 3), np.uint8)
    probabilities, features = judge.read(frames, batch=4)
    assert probabilities.shape == (2, 5, 9) and features.shape[:2] == (2, 5)
    alone = torch.sigmoid(judge(to_clips(torch.from_numpy(frames[1:, 3:6])))[0])
    assert probabilities[1, 3] == pytest.approx(alone[0].detach().numpy(), abs=1e-5)


def test_mirroring_exchanges_left_and_right():
    held, clips = torch.eye(9), torch.rand(9, 3, 3, 16, 16)
    even = torch.arange(9) % 2 == 0
    flipped, _ = mirror(clips, held, even)
    assert torch.equal(flipped[0], clips[0].flip(-1)) and torch.equal(flipped[1], clips[1])
    _, keys = mirror(clips, held, torch.ones(9, dtype=torch.bool))
    swapped = {k: KEYS[int(row.argmax())] for k, row in zip(KEYS, keys, strict=True)}
    assert swapped == {k: k for k in KEYS} | {"a": "d", "d": "a", "yaw+": "yaw-", "yaw-": "yaw+"}


def test_softened_clips_stay_pictures_of_the_same_scene():
    world = BlockWorld(width=32, height=32, terrain="plains")
    clips = to_clips(torch.from_numpy(np.stack([[world.reset(s)] * 3 for s in range(8)])))
    torch.manual_seed(0)
    soft = soften(clips)
    assert soft.shape == clips.shape and soft.min() >= 0 and soft.max() <= 1
    assert 0.01 < (soft - clips).abs().mean() < 0.2
    assert not torch.equal(soft[:, 0], soft[:, 1])  # each frame for itself


def test_shipped_judge_reads_other_worlds_as_its_manifest_says():
    judge, manifest = load_judge(shipped_judge())
    world = BlockWorld(terrain="mixed")
    frames, actions = [], []
    for seed in range(4):
        world.reset(5_000_000 + seed)
        walked = stroll(world, Walker(np.random.default_rng([seed, 5])), 130)
        actions.append(walked[0])
        frames.append(walked[1])
    said = judge.read(np.stack(frames))[0] > np.array([manifest["thresholds"][k] for k in KEYS])
    held = labels(np.stack(actions))[:, 2:]
    scores = dict(zip(KEYS, f1(said.reshape(-1, 9), held.reshape(-1, 9)), strict=True))
    assert all(scores[k] > manifest["held_out_f1"][k] - 0.2 for k in KEYS), scores
