"""Photometric stereo on what has a known answer."""

from __future__ import annotations

import pytest
import torch

from terrarium.worlds.materials.cameras import cameras, plane_points
from terrarium.worlds.materials.colour import linear_to_srgb
from terrarium.worlds.materials.photograph import SKY, photograph, rectified
from terrarium.worlds.materials.stereo import LAMP_MEAN, clues, slopes

POSES = torch.tensor([[[30.0, 0.0, 4.0], [30.0, 120.0, 4.0], [30.0, 240.0, 4.0]]])


def matt(slope: torch.Tensor) -> torch.Tensor:
    """Views of a surface of that slope [2, S, S] that reflects a third of the sky and of a lamp at each camera."""
    side = slope.shape[-1]
    normal = torch.nn.functional.pad(slope.movedim(0, -1), (0, 1), value=1.0)
    normal = normal / normal.norm(dim=-1, keepdim=True)
    away = cameras(POSES[0]).eye[:, None, None] - plane_points(side)
    squared = away.square().sum(-1)
    seen = (LAMP_MEAN * (away * normal).sum(-1) / squared.sqrt() * 16 / squared + SKY) / 3
    return linear_to_srgb(seen)[None, :, None].expand(-1, -1, 3, -1, -1)


def test_slopes_of_a_matt_surface_are_found_from_three_views_and_poses() -> None:
    wave = torch.sin(torch.linspace(0, 12.566, 65)[:-1])
    slope = torch.stack([0.3 * wave.expand(64, 64), 0.3 * wave[:, None].expand(64, 64)])
    found = clues(matt(slope), POSES).slope[0]
    assert torch.corrcoef(torch.stack([found.flatten(), slope.flatten()]))[0, 1] > 0.95
    assert float((found * slope).sum() / slope.square().sum()) == pytest.approx(0.6, abs=0.15)  # the sky does not tell
    wrong = clues(matt(slope), POSES.roll(1, 1)).slope[0]
    assert torch.corrcoef(torch.stack([wrong.flatten(), slope.flatten()]))[0, 1] < 0.1


def test_without_poses_or_with_one_view_nothing_is_said_of_the_slope() -> None:
    views = matt(torch.zeros(2, 16, 16) + 0.2)
    assert clues(views, None).slope.abs().max() == 0 and clues(views[:, :1], POSES[:, :1]).slope.abs().max() == 0


def test_a_constant_slope_solves_the_normal_equations() -> None:
    towards = torch.nn.functional.normalize(torch.tensor([[0.5, 0, 1], [-0.25, 0.4, 1], [-0.25, -0.4, 1]]), dim=1)
    towards = towards.view(1, 3, 3, 1, 1)
    plane = towards[:, :, :2] / towards[:, :, 2:]
    change = (plane * torch.tensor([0.2, -0.1]).view(1, 1, 2, 1, 1)).sum(2, keepdim=True)
    found = slopes(change - change.mean(1, keepdim=True), towards).flatten()
    torch.testing.assert_close(found, torch.tensor([0.2, -0.1]), atol=0.05, rtol=0)  # the ridge


def test_the_albedo_of_a_flat_surface_is_about_right() -> None:
    maps = torch.zeros(2, 8, 32, 32)
    maps[:, :3], maps[:, 3], maps[:, 7] = 0.5, 1.0, 1.0
    views, poses = photograph(maps, torch.Generator().manual_seed(0))
    found = clues(rectified(views, poses), poses)
    assert found.albedo.mean() == pytest.approx(0.5, abs=0.12) and found.slope.abs().mean() < 0.15
