"""Each reward: in [0, 1], differentiable, and larger for what it wants."""

import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.generators.codes import encode, mixture
from terrarium.worlds.generators.rewards import REWARDS, Scene, Wish, facing, random_cameras
from terrarium.worlds.generators.weighted import weighted
from terrarium.worlds.voxels.camera import orbit

TARGET = structure(5, name="pyramid").blocks


def scene_of(*worlds: np.ndarray, soft: float = 0.0) -> Scene:
    ids = torch.from_numpy(np.stack(worlds))
    occupancy, materials = mixture(encode(ids))
    cameras = random_cameras(np.random.default_rng(0), 16, 2, 20.0)
    return Scene((1 - soft) * occupancy + soft / 2, materials, cameras)


@pytest.mark.parametrize("name", REWARDS)
def test_a_reward_is_bounded_and_differentiable(name) -> None:
    """Its gradient is that of finite differences along a random direction."""
    reward = REWARDS[name](Wish(target=TARGET))
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 6, 6, requires_grad=True)
    palette = torch.randn(2, 6, 6, 6, 7)
    if name == "silhouette":
        reward = REWARDS[name](Wish(target=TARGET[:6, :6, :6].copy()))
    cameras = random_cameras(np.random.default_rng(0), 6, 1, 20.0)

    def value(x: torch.Tensor) -> torch.Tensor:
        found = reward(Scene(torch.sigmoid(x), palette.softmax(-1), cameras))
        assert found.shape == (2,) and (found >= 0).all() and (found <= 1).all()
        return found.sum()

    (gradient,) = torch.autograd.grad(value(logits), logits)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    direction = torch.randn_like(logits)
    step = 1e-3 * direction
    slope = (value(logits + step) - value(logits - step)).item() / 2e-3
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=0.03, abs=1e-3)


def test_each_wants_what_it_says() -> None:
    tower, ship = structure(1, name="tower").blocks, structure(3, name="ship").blocks
    stone, wood = np.where(tower > 0, ID["Stone"], 0), np.where(tower > 0, ID["Plank"], 0)
    stone, wood = stone.astype(np.uint8), wood.astype(np.uint8)
    floating = tower.copy()
    floating[1:4, 12:14, 1:4] = ID["Stone"]
    crumbs = tower.copy()
    crumbs[1:16:3, 8:16:3, 1:4:3] = ID["Stone"]
    pairs = {
        "palette": (stone, wood),
        "colour": (stone, wood),
        "silhouette": (TARGET, ship),
        "symmetry": (TARGET, ship),
        "connectivity": (tower, crumbs),
        "support": (tower, floating),
    }
    for name, (better, worse) in pairs.items():
        found = REWARDS[name](Wish(target=TARGET))(scene_of(better, worse))
        assert found[0] > found[1], name
    assert float(REWARDS["support"](Wish())(scene_of(tower))[0]) == pytest.approx(1)
    assert float(REWARDS["silhouette"](Wish(target=TARGET))(scene_of(TARGET))[0]) == pytest.approx(1)


def test_sums_are_weighted_means() -> None:
    scene = scene_of(structure(1).blocks, soft=0.1)
    palette, support = (REWARDS[name](Wish())(scene) for name in ("palette", "support"))
    found = weighted({"palette": 3.0, "support": 1.0}, Wish())(scene)
    torch.testing.assert_close(found, 0.75 * palette + 0.25 * support)


@pytest.mark.parametrize(
    ("weights", "wish", "match"),
    [
        ({}, Wish(), "no reward: expected some of palette, colour"),
        ({"shine": 1.0}, Wish(), "unknown reward 'shine'"),
        ({"clip": 1.0}, Wish(), "reward clip has no weights: expected a folder of them as clip_model"),
        ({"toy_rewards:Nothing": 1.0}, Wish(), "'toy_rewards:Nothing' cannot be imported"),
        ({"no_such_module:Shine": 1.0}, Wish(), "'no_such_module:Shine' cannot be imported"),
        ({"toy_rewards:Flat": 1.0}, Wish(), r"reward toy_rewards:Flat gives a tensor of shape \[\] for two worlds"),
        ({"toy_rewards:Loud": 1.0}, Wish(), r"reward toy_rewards:Loud is \[2.0, 2.0\]: expected numbers from 0 to 1"),
        ({"toy_rewards:Deaf": 1.0}, Wish(), "reward toy_rewards:Deaf has no gradient: expected a differentiable one"),
        ({"palette": 0.0}, Wish(), "reward palette has weight 0.0: expected more than 0"),
        ({"palette": 1.0}, Wish(material="Gold"), "unknown material 'Gold': expected one of Grass"),
        ({"silhouette": 1.0}, Wish(), "reward silhouette has no target"),
    ],
)
def test_what_is_no_reward_is_refused(weights, wish, match) -> None:
    with pytest.raises(ValueError, match=match):
        weighted(weights, wish, gradient=True)


def test_ones_own_reward_is_taken_by_name() -> None:
    scene = scene_of(structure(1).blocks, soft=0.1)
    found = weighted({"toy_rewards:Emptiness": 1.0, "support": 1.0}, Wish(), gradient=True)(scene)
    expected = (1 - scene.occupancy.mean((1, 2, 3)) + REWARDS["support"](Wish())(scene)) / 2
    torch.testing.assert_close(found, expected)
    weighted({"toy_rewards:Deaf": 1.0}, Wish(), gradient=False)  # ddpo needs none


def test_grazing_surfaces_are_left_out() -> None:
    """Of a flat ground what rays meet at less than 15 degrees: some of it from a low camera, nothing from above."""
    ground = np.zeros((16, 16, 16), np.uint8)
    ground[:, 0] = ID["Stone"]
    occupancy, materials = mixture(encode(torch.from_numpy(ground[None])))
    for elevation, some in ((0.0, True), (80.0, False)):
        scene = Scene(occupancy, materials, [orbit((16,) * 3, 0.0, elevation, 24, 24)])
        (picture,), (camera,) = scene.pictures[0], scene.cameras
        top = (picture.normal[..., 1] > 0.9) & (picture.opacity > 0.9)
        steep = torch.from_numpy(-camera.rays()[..., 1] > np.cos(np.deg2rad(75.0)))
        assert facing(picture, camera)[top].bool().equal(steep[top]) and bool((~steep[top]).any()) == some
        masked = REWARDS["depth_normals"](Wish(angle_mask=True))(scene)
        assert bool((masked >= 0).all()) and bool((masked <= 1).all())
