"""The ray-caster against a slow march, and the flat picture against its definition."""

import numpy as np
import pytest

from terrarium.worlds.blocks import palette, raycast
from terrarium.worlds.blocks.camera import basis, pixel_rays


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    blocks = np.where(rng.random((9, 7, 11)) < 0.12, rng.integers(1, 8, (9, 7, 11)), 0).astype(np.uint8)
    blocks[3:6, 2:5, 4:7] = 0
    return raycast.Volume(blocks)


def cast(volume, origin, ray, far=100.0):
    return raycast.cast(volume.flat, *volume.shape, *origin, *ray, far)


def unit(v):
    return np.asarray(v, np.float64) / np.linalg.norm(v)


def march(volume, origin, ray, far=40.0, step=1e-3):
    """The first block on the ray, by small steps."""
    points = origin + ray * np.arange(0, far, step)[:, None]
    cells = np.floor(points).astype(int)
    inside = ((cells >= 0) & (cells < volume.blocks.shape)).all(1)
    cells = np.where(inside[:, None], cells, 0)
    blocks = np.where(inside, volume.blocks[tuple(cells.T)], 0)
    hit = np.flatnonzero(blocks)
    return (int(blocks[hit[0]]), hit[0] * step) if hit.size else (0, far)


@pytest.mark.parametrize("origin", [(4.3, 3.4, 5.6), (-6.2, 3.3, 4.1), (4.4, 15.2, 5.5)])
def test_casts_hit_what_a_march_hits(volume, origin):
    rng = np.random.default_rng(1)
    agree = []
    for _ in range(60):
        target = rng.uniform(0, 1, 3) * volume.blocks.shape
        ray = unit(target - origin)
        block, t, face, x, y, z = cast(volume, origin, ray, 40.0)
        expected, distance = march(volume, np.array(origin), ray)
        agree.append(block == expected and abs(t - distance) < 2e-3)
        if block:
            assert volume.blocks[x, y, z] == block
            assert palette.NORMALS[face] @ ray < 0
            plane = (np.array(origin) + t * ray)[face // 2]
            np.testing.assert_allclose(plane, (x, y, z)[face // 2] + face % 2, atol=1e-9)
    assert np.mean(agree) >= 0.95  # a march may step over a corner


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_rays_along_an_axis(axis, sign):
    blocks = np.zeros((9, 9, 9), np.uint8)
    at = [4, 4, 4]
    at[axis] += 3 * sign
    blocks[tuple(at)] = 3
    ray = np.zeros(3)
    ray[axis] = sign
    block, t, face, *cell = cast(raycast.Volume(blocks), (4.5, 4.5, 4.5), ray)
    assert (block, t, face, cell) == (3, 2.5, 2 * axis + (sign < 0), at)


def test_empty_and_full_worlds():
    empty = raycast.Volume(np.zeros((4, 4, 4), np.uint8))
    full = raycast.Volume(np.full((4, 4, 4), 3, np.uint8))
    for ray in (unit((1, 2, -3)), np.array([0.0, 0, 1])):
        assert cast(empty, (2.2, 2.1, 2.3), ray)[0] == 0
        assert cast(full, (2.2, 2.1, 2.3), ray)[0] == 3
        assert cast(full, (2.2, 9.0, 2.3), (0, 1, 0))[0] == 0


def test_far_ends_a_ray(volume):
    blocks = np.zeros((9, 9, 9), np.uint8)
    blocks[4, 4, 8] = 3
    away = raycast.Volume(blocks)
    assert cast(away, (4.5, 4.5, 0.5), (0, 0, 1), 7.0)[:2] == (0, 7.0)
    assert cast(away, (4.5, 4.5, 0.5), (0, 0, 1), 8.0)[0] == 3


def test_the_flat_picture_is_the_lit_palette(volume):
    eye, axes = (4.5, 3.5, 5.5), basis(30, -10)
    picture = raycast.render_flat(volume, eye, axes, 17, 13, 60.0)
    rays = pixel_rays(17, 13, 60.0) @ axes
    for i in range(13):
        for j in range(17):
            block, _t, face, *_ = cast(volume, eye, rays[i, j], 1e9)
            expected = palette.sun_lut()[block, face] if block else palette.SKY
            np.testing.assert_array_equal(picture[i, j], expected)


@pytest.mark.parametrize("size", [(64, 64), (33, 17), (128, 72)])
def test_frames_have_the_asked_size_and_fill_every_pixel(volume, size):
    width, height = size
    for smooth in (False, True):
        frames = [raycast.render(volume, (4.5, 3.5, 5.5), 20, 5, width, height, smooth=smooth) for _ in range(2)]
        assert frames[0].shape == (height, width, 3) and frames[0].dtype == np.uint8
        np.testing.assert_array_equal(*frames)


def test_far_ground_is_calm():
    """Detail fades: under one step a far floor changes less than a quarter as much as a near one."""
    blocks = np.zeros((200, 12, 200), np.uint8)
    blocks[:, :4] = palette.ID["Sand"]
    volume = raycast.Volume(blocks)
    first, second = (raycast.render(volume, (100.5, 5.62, 100.5 + d), 0, 0).astype(int) for d in (0, 0.4))
    moved = np.abs(first - second).mean((1, 2))
    assert moved[34:37].mean() < 0.25 * moved[56:].mean()


def test_labels_say_what_each_ray_hits(volume):
    eye, yaw, pitch, height, width = (4.4, 3.5, 5.6), 130.0, -10.0, 20, 24
    labels = raycast.label(volume, eye, yaw, pitch, width, height)
    axes, rays = basis(yaw, pitch), pixel_rays(width, height)
    assert labels.block.shape == labels.face.shape == labels.depth.shape == (height, width)
    for i in range(0, height, 3):
        for j in range(0, width, 3):
            block, t, face, *_ = cast(volume, eye, rays[i, j] @ axes, raycast.FAR)
            assert (labels.block[i, j], labels.face[i, j]) == (block, face)
            assert labels.depth[i, j] == pytest.approx(t * rays[i, j, 2] if block else np.inf)
    assert 0 < (labels.block == 0).mean() < 1


def test_depth_is_along_the_camera_and_not_along_the_ray():
    blocks = np.zeros((9, 9, 9), np.uint8)
    blocks[:, :, 1] = 3  # a wall ahead, at right angles
    labels = raycast.label(raycast.Volume(blocks), (4.5, 4.5, 6.0), 0.0, 0.0, 16, 16)
    hit = labels.block == 3
    np.testing.assert_allclose(labels.depth[hit], 4.0, rtol=1e-6)
    assert hit.any() and (labels.face[hit] == 5).all()
