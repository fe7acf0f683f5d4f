"""Figures of maps on cases whose values are known."""

from __future__ import annotations

import pytest
import torch

from terrarium.worlds.materials.maps import NORMAL
from terrarium.worlds.materials.metrics import angle_figures, map_figures, normal_angles_deg, rerender_psnr
from terrarium.worlds.materials.procedural import material


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.from_numpy(material("gravel", 0, 32).maps)[None]


def test_nothing_is_wrong_with_the_truth(maps: torch.Tensor) -> None:
    for figures in map_figures(maps, maps).values():
        assert figures == pytest.approx({"psnr": 60, "rmse": 0, "mae": 0, "ssim": 1})
    assert rerender_psnr(maps, maps) == pytest.approx(60)
    assert angle_figures([normal_angles_deg(maps, maps)])["p95"] < 0.1


def test_known_errors_have_known_figures(maps: torch.Tensor) -> None:
    wrong = maps.clone()
    wrong[:, 3] = 0.1
    true = maps.clone()
    true[:, 3] = 0.3
    figures = map_figures(wrong, true)
    assert [figures["roughness"][name] for name in ("rmse", "mae")] == pytest.approx([0.2, 0.2])
    assert figures["roughness"]["psnr"] == pytest.approx(13.98, abs=0.01)
    assert figures["albedo"]["psnr"] == pytest.approx(60) and rerender_psnr(wrong, true) < 50


def test_angles_are_those_between_vectors() -> None:
    flat, tilted = torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 4, 4)
    flat[:, 7] = 1
    tilted[:, NORMAL] = torch.tensor([0.5, 0.0, 3**0.5 / 2]).view(3, 1, 1)
    tilted[:, NORMAL, :1] = flat[:, NORMAL, :1]  # a quarter of the pixels is right
    figures = angle_figures([normal_angles_deg(flat, tilted)])
    assert figures["mean"] == pytest.approx(22.5, abs=0.1) and figures["median"] == pytest.approx(30, abs=0.1)
