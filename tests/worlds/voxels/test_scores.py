"""Scores: what is hidden does not count among what is seen; a mesh has the faces that are seen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.voxels import scores
from terrarium.worlds.voxels.camera import orbit
from terrarium.worlds.voxels.capture import view_of
from terrarium.worlds.voxels.export import faces_of, table_of
from terrarium.worlds.voxels.gradient import gradient_of
from terrarium.worlds.voxels.guidance.target import take


def a_cube() -> np.ndarray:
    """Stone, 3 a side, in the middle of 5 a side."""
    blocks = np.zeros((5, 5, 5), np.uint8)
    blocks[1:4, 1:4, 1:4] = ID["Stone"]
    return blocks


def test_the_inside_is_not_seen_and_the_air_before_it_is() -> None:
    blocks = a_cube()
    known = scores.seen(blocks, take(blocks, 12, 48).views)
    assert not known[2, 2, 2] and known[2, 3, 2] and known[0, 2, 2]
    hollow, floating = blocks.copy(), blocks.copy()
    hollow[2, 2, 2] = 0
    floating[0, 4, 0] = ID["Dirt"]
    painted = blocks.copy()
    painted[2, 3, 2] = ID["Sand"]
    visible = int(((blocks > 0) & known).sum())
    assert scores.against(hollow, blocks, known)["iou"] == 1 and scores.against(hollow, blocks, known)["iou_full"] < 1
    assert scores.against(floating, blocks, known)["iou"] == pytest.approx(visible / (visible + 1))
    assert scores.against(painted, blocks, known)["material_accuracy"] == pytest.approx(1 - 1 / visible)


def test_psnr_is_of_all_pixels() -> None:
    blocks = a_cube()
    found = take(blocks, 2, 32)
    pictures = torch.from_numpy(found.pictures)
    assert scores.hard_psnr(blocks, found.views, pictures) == scores.MOST_DB
    assert scores.hard_psnr(blocks, found.views, pictures + 0.1) == pytest.approx(20, abs=1e-3)


def test_a_mesh_has_the_faces_that_touch_air() -> None:
    quads, colours = faces_of(a_cube())
    assert len(quads) == len(colours) == 6 * 9
    normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 2] - quads[:, 0])
    outward = quads.mean(1) - 2.5
    assert (np.einsum("nc,nc->n", normals, outward) > 0).all(), "counter-clockwise from outside"


def test_the_table_counts_what_is_there() -> None:
    facts = table_of(structure(2).blocks)
    assert facts["ground_filled"] == 1 and sum(facts["columns_by_height"].values()) == 256
    assert sum(facts["materials"].values()) == pytest.approx(1, abs=1e-3)
    json.dumps(facts)


def test_seen_blocks_have_a_gradient_and_those_far_inside_none() -> None:
    blocks = np.full((12, 12, 12), ID["Stone"], np.uint8)
    found = gradient_of(blocks, orbit((12, 12, 12), 30, 20, 48, 48))
    assert found.finite and found.norm > 0 and 12 * 12 < found.with_gradient < found.blocks == 12**3
    assert view_of(orbit((12, 12, 12), 200, 40, 8, 8), 3).azimuth_deg == pytest.approx(200)
