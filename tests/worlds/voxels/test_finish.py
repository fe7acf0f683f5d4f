"""What a change saves is what it saves when it is made; a damaged world is mended."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.palette import AIR, ID
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.voxels.finish import IDS, Wanted, finished, offers
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.guidance.target import take


def shown(blocks: np.ndarray, count: int, side: int) -> tuple[list[View], torch.Tensor]:
    capture = take(blocks, count, side)
    return capture.views, torch.from_numpy(capture.pictures)


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
    check_offers(damaged(truth), Wanted(*shown(truth, 3, 16)))


def test_each_offer_counts_the_neighbours_that_differ() -> None:
    truth = structure(5).blocks[6:9, :3, 6:9].copy()
    check_offers(damaged(truth), Wanted(*shown(truth, 3, 16), uneven=0.7))


def check_offers(blocks: np.ndarray, wanted: Wanted) -> None:
    saved, becomes = offers(blocks, wanted)
    error = wanted.loss(blocks)
    for at in product(range(3), repeat=3):
        best = -np.inf
        for block in {AIR, *IDS.tolist()} - {int(blocks[at])}:
            other = blocks.copy()
            other[at] = block
            gain = error - wanted.loss(other)
            best = max(best, gain)
            if block == becomes[at]:
                assert gain == pytest.approx(saved[at], rel=0.03, abs=0.02), at
        assert saved[at] == pytest.approx(max(best, 0.0) if blocks[at] else best, rel=0.03, abs=0.02), at


def test_a_damaged_world_is_mended() -> None:
    truth = structure(5).blocks[4:12, :8, 4:12].copy()
    wanted = Wanted(*shown(truth, 12, 48))
    rounds = list[int]()
    blocks = finished(damaged(truth), wanted, 10, alive=lambda: rounds.append(1))
    assert wanted.loss(blocks) < 0.01 * wanted.loss(damaged(truth)) and 1 < len(rounds) <= 10
    np.testing.assert_array_equal(finished(truth, wanted, 1), truth)
    np.testing.assert_array_equal(finished(blocks, wanted, 0), blocks)


def test_materials_alone_change_where_that_is_asked() -> None:
    truth = structure(5).blocks[4:12, :8, 4:12].copy()
    wanted, blocks = Wanted(*shown(truth, 12, 48)), damaged(truth)
    changed = finished(blocks, wanted, 10, materials_only=True)
    np.testing.assert_array_equal(changed != AIR, blocks != AIR)
    assert wanted.loss(changed) < wanted.loss(blocks)


def test_even_worlds_cost_less() -> None:
    blocks = np.full((3, 3, 3), ID["Stone"], np.uint8)
    blocks[1, 1, 1], blocks[0, 0, 0] = ID["Sand"], AIR
    wanted = Wanted(*shown(blocks, 2, 8), uneven=1.0)
    assert wanted.loss(blocks) == pytest.approx(6.0)  # one block of six neighbours; air differs from nothing
