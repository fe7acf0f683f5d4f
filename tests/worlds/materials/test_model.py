"""The network: what it takes, what it returns, and that its large sizes can be built."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch

from terrarium.worlds.materials.cameras import cameras, plane_points, poses_of_part, random_poses
from terrarium.worlds.materials.encoders import DESIGNS, Encoder
from terrarium.worlds.materials.kinds import KINDS, MaterialTrainConfig, model_parameters, train_debug
from terrarium.worlds.materials.maps import NORMAL
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.stereo import clues
from terrarium.worlds.materials.train import shape_of

PRESETS = KINDS["material.train"].presets


def tiny(**given: object) -> MaterialNet:
    torch.manual_seed(0)
    net = MaterialNet(**shape_of(replace(train_debug(), **given)))  # type: ignore[arg-type]
    torch.nn.init.normal_(net.heads.weight, std=0.3)
    return net.eval()


def some(views: int = 3, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    poses = random_poses(2 * views, generator).unflatten(0, (2, views))
    return torch.rand(2, views, 3, side, side, generator=generator), poses


@pytest.mark.parametrize(
    "given", [{}, {"encoder": "resnet18"}, {"encoder": "mobile"}, {"encoder": "resnet50", "encoder_stride": 2}]
)
def test_maps_are_in_their_ranges_for_any_number_of_views(given: dict[str, object]) -> None:
    net = tiny(**given)
    for count in (1, 2, 3):
        views, poses = some(count)
        maps = net(views, poses)
        assert maps.shape == (2, 8, 32, 32) and maps[:, :5].min() >= 0 and maps[:, :5].max() <= 1
        torch.testing.assert_close(maps[:, NORMAL].norm(dim=1), torch.ones(2, 32, 32))
        assert not net(views, None).allclose(maps, atol=1e-4)  # poses are read
    assert not net(views, poses.roll(1, 1)).allclose(maps, atol=1e-4)
    net(views[..., :16, :16].repeat(1, 1, 1, 4, 4), None)  # any size


def test_every_parameter_gets_a_gradient() -> None:
    net = tiny()
    net(*some()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in net.named_parameters() if "view" not in n)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 views of 36 x 36: expected 1 to 8, sides a multiple of 8"):
        tiny()(*some(side=36))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_built_and_have_as_many_parameters_as_estimated(name: str) -> None:
    config = PRESETS[name]()
    with torch.device("meta"):
        net = MaterialNet(**shape_of(config))
    found = sum(p.numel() for p in net.parameters())
    if name != "debug":  # a few thousand, mostly norms
        assert model_parameters(asdict(config)) == pytest.approx(found, rel=0.33)


@pytest.mark.parametrize("name", DESIGNS)
def test_encoders_halve_four_times(name: str) -> None:
    with torch.device("meta"):
        encoder = Encoder(name, 6, 8, 2)
        found = encoder(torch.empty(1, 6, 64, 64))
    assert [list(x.shape[1:]) for x in found] == [[c, 32 >> i, 32 >> i] for i, c in enumerate(encoder.channels)]


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="heads: 3 does not divide dim 16"):
        MaterialTrainConfig(dim=16, heads=3)


def test_a_part_is_seen_from_where_the_whole_is() -> None:
    poses = random_poses(3, torch.Generator().manual_seed(0))[None]
    whole = clues(torch.zeros(1, 3, 3, 32, 32), poses).towards
    part = poses_of_part(poses, torch.tensor([0.5, -0.5]), 0.5)  # the lower right quarter
    torch.testing.assert_close(
        clues(torch.zeros(1, 3, 3, 16, 16), part).towards, whole[..., 16:, 16:], atol=1e-5, rtol=1e-4
    )
    assert plane_points(4)[0, 0].tolist() == [-0.75, 0.75, 0.0]
    taken = cameras(poses[0])
    corners = torch.tensor([[[1.0, 1, 0], [-1, 1, 0], [1, -1, 0], [-1, -1, 0]]]).unsqueeze(0)
    assert taken.project(corners[0].expand(3, 1, 4, 3)).abs().amax((1, 2, 3)).tolist() == pytest.approx([1, 1, 1])
