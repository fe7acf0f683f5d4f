"""The grid: exports what it was made of, starts transparent, fades to nothing, hardens straight through."""

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.palette import ID, SKY
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.voxels import grid as grids
from terrarium.worlds.voxels.camera import look_at, orbit
from terrarium.worlds.voxels.grid import DifferentiableVoxelGrid, coarser, of_map
from terrarium.worlds.voxels.render import of_blocks, render


def seeded():
    return torch.Generator().manual_seed(0)


def test_a_map_comes_back_and_its_hard_picture_is_the_maps():
    blocks = structure(3).blocks
    grid = of_map(blocks)
    np.testing.assert_array_equal(grid.blocks(), blocks)
    camera = orbit(grid.shape, 30, 20, 20, 16)
    hard = render(*grid(hard=True), camera).rgb
    torch.testing.assert_close(hard, render(*of_blocks(blocks), camera).rgb)


def test_hard_has_the_gradients_of_soft():
    grid = grids.noise((3, 4, 2), seeded())
    weight = torch.rand(3, 4, 2)
    soft = torch.autograd.grad((grid()[0] * weight).sum(), grid.occupancy_logits)[0]
    hard = torch.autograd.grad((grid(hard=True)[0] * weight).sum(), grid.occupancy_logits)[0]
    torch.testing.assert_close(hard, soft)
    assert set(grid(hard=True)[0].unique().tolist()) <= {0.0, 1.0}


def test_a_voxel_that_fades_becomes_transparent_not_grey():
    grid = of_map(np.full((1, 1, 1), ID["Sand"], np.uint8))
    camera = look_at((0.5, 0.5, 4.0), (0.5, 0.5, 0.0), 1, 1)
    with torch.no_grad():
        grid.occupancy_logits.fill_(-30)
        np.testing.assert_allclose(render(*grid(), camera).rgb[0, 0], SKY, atol=1e-6)
        colour = grid()[1]
        grid.occupancy_logits.fill_(30)
        torch.testing.assert_close(grid()[1], colour)  # colours do not know the occupancy


@pytest.mark.parametrize("layers", [8, 16, 32, 64])
def test_what_is_not_set_lets_the_ground_be_seen(layers):
    p = torch.sigmoid(torch.tensor(grids.clear_logit(layers)))
    assert (1 - p) ** layers == pytest.approx(grids.CLEAR, rel=1e-4)


def test_inits():
    shape = (16, 12, 14)
    ground = grids.INITS["ground_plane"](shape, seeded()).blocks()
    assert (ground[:, 0] == ID["Grass"]).all() and (ground[:, 1:] == 0).mean() > 0.99
    stone = grids.INITS["cube"](shape, seeded()).blocks()
    assert (stone == ID["Stone"]).sum() == 512 and (stone[4:12, 2:10, 3:11] == ID["Stone"]).all()
    assert (grids.INITS["cube"]((4, 5, 6), seeded()).blocks() == ID["Stone"]).sum() == 120
    one, again = (grids.INITS["noise"](shape, seeded()) for _ in range(2))
    assert one.occupancy_logits.equal(again.occupancy_logits) and one.occupancy_logits.std() > 0.9


def test_a_coarse_grid_grows():
    blocks = np.zeros((4, 4, 4), np.uint8)
    blocks[:2] = ID["Dirt"]
    fine = coarser(of_map(blocks), (8, 8, 8))
    np.testing.assert_array_equal(fine.blocks(), np.repeat(blocks, 2, 0).repeat(2, 1).repeat(2, 2))
    assert fine.occupancy_logits.is_leaf


def test_bad_grids():
    with pytest.raises(ValueError, match=r"occupancy has shape \[2, 2, 2\], materials \[2, 2, 2, 8\]"):
        DifferentiableVoxelGrid(torch.zeros(2, 2, 2), torch.zeros(2, 2, 2, 8))
    blocks = np.zeros((2, 2, 2), np.uint8)
    blocks[1, 0, 1] = ID["RedWool"]
    with pytest.raises(ValueError, match=r"the block at \[1, 0, 1\] is RedWool: a voxel grid knows Grass"):
        of_map(blocks)
    for shape in ((6, 4, 4), (4, 4, 8), (2, 2, 2)):
        with pytest.raises(ValueError, match=r"a grid of \[4, 4, 4\] cannot become"):
            coarser(of_map(np.zeros((4, 4, 4), np.uint8)), shape)
