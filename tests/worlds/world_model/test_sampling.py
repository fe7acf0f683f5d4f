import pytest
import torch
import torch.nn.functional as F

from terrarium.worlds.world_model.sampling import BILINEAR, BORDER, by_rows


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(1, 5), (7, 3), (16, 33)])
def test_rows_are_sampled_as_aten_does(size, align_corners):
    pictures = torch.randn(2, 5, *size, dtype=torch.float64)
    grid = 1.5 * (2 * torch.rand(2, 4, 9, 2, dtype=torch.float64) - 1)  # beyond the edges too
    grid[0, 0, :5, 0], grid[0, 0, :5, 1] = torch.linspace(-1, 1, 5), torch.tensor([-1.0, 1.0, 0.0, 1.0, -1.0])
    expected = F.grid_sample(pictures, grid, padding_mode="border", align_corners=align_corners)
    found = by_rows(pictures, grid, BILINEAR, BORDER, align_corners)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous()


@pytest.mark.parametrize(("mode", "padding"), [(2, BORDER), (BILINEAR, 0), (1, BORDER)])
def test_other_ways_are_left_to_aten(mode, padding):
    assert by_rows(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), mode, padding) is NotImplemented
