"""What a change saves is what it saves when it is made; a damaged world is mended."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.palette import AIR, ID
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.voxels.capture import Capture
from terrarium.worlds.voxels.finish import IDS, finished, loss, offers
from terrarium.worlds.voxels.guidance.target import take


def shown(blocks: np.ndarray, count: int, side: int) -> tuple[Capture, torch.Tensor]:
    capture = take(blocks, count, side)
    return capture, torch.from_numpy(capture.pictures)


def damaged(truth: np.ndarray) -> np.ndarray:
    blocks = truth.copy()
    rng = np.random.default_rng(0)
    solid, empty = np.argwhere(truth != AIR), np.argwhere(truth == AIR)
    for x, y, z in rng.permutation(solid)[: len(solid) // 8]:
        blocks[x, y, z] = rng.choice([AIR, ID["Sand"], ID["Water"]])
    for x, y, z in rng.permutation(empty)[: len(empty) // 40]:
        blocks[x, y, z] = ID["Plank"]
    return blocks


def test_each_offer_saves_what_it_promises() -> None:
    truth = structure(5).blocks[6:9, :3, 6:9].copy()
    blocks = damaged(truth)
    capture, pictures = shown(truth, 3, 16)
    saved, becomes = offers(blocks, capture.views, pictures)
    error = loss(blocks, capture.views, pictures)
    for at in product(range(3), repeat=3):
        best = -np.inf
        for block in {AIR, *IDS.tolist()} - {int(blocks[at])}:
            other = blocks.copy()
            other[at] = block
            gain = error - loss(other, capture.views, pictures)
            best = max(best, gain)
            if block == becomes[at]:
                assert gain == pytest.approx(saved[at], rel=0.03, abs=0.02), at
        assert saved[at] == pytest.approx(max(best, 0.0) if blocks[at] else best, rel=0.03, abs=0.02), at


def test_a_damaged_world_is_mended() -> None:
    truth = structure(5).blocks[4:12, :8, 4:12].copy()
    capture, pictures = shown(truth, 12, 48)
    blocks = finished(damaged(truth), capture.views, pictures, 10)
    before, after = (loss(each, capture.views, pictures) for each in (damaged(truth), blocks))
    assert after < 0.01 * before
    np.testing.assert_array_equal(finished(truth, capture.views, pictures, 1), truth)
    np.testing.assert_array_equal(finished(blocks, capture.views, pictures, 0), blocks)
