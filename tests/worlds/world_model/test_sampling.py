import pytest
import torch
import torch.nn.functional as F

from terrarium.worlds.world_model.sampling import BICUBIC, BILINEAR, BORDER, grid_sampler_2d


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("mode", "number"), [("bilinear", BILINEAR), ("bicubic", BICUBIC)])
@pytest.mark.parametrize("size", [(1, 5), (7, 3), (16, 33)])
def test_it_samples_as_aten_does(size, mode, number, align_corners):
    pictures = torch.randn(2, 5, *size, dtype=torch.float64)
    grid = 1.5 * (2 * torch.rand(2, 4, 9, 2, dtype=torch.float64) - 1)  # beyond the edges too
    grid[0, 0, :5, 0], grid[0, 0, :5, 1] = torch.linspace(-1, 1, 5), torch.tensor([-1.0, 1.0, 0.0, 1.0, -1.0])
    expected = F.grid_sample(pictures, grid, mode=mode, padding_mode="border", align_corners=align_corners)
    found = grid_sampler_2d(pictures, grid, number, BORDER, align_corners)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous()
