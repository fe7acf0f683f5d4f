"""Cameras: upright, at right angles, seeing what they look at."""

import numpy as np
import pytest

from terrarium.worlds.blocks.camera import basis
from terrarium.worlds.voxels.camera import Camera, look_at, orbit

SHAPE = (16, 24, 20)


@pytest.mark.parametrize("azimuth", [0, 35, 90, 180, 300])
@pytest.mark.parametrize("elevation", [-30, 0, 45, 90])
def test_an_orbit_sees_the_middle_and_the_whole_grid(azimuth, elevation):
    camera = orbit(SHAPE, azimuth, elevation, 33, 33)
    right, up, forward = camera.axes
    np.testing.assert_allclose(np.cross(right, up), -forward, atol=1e-12)  # right-handed: the camera looks along -z
    assert up[1] >= -1e-9
    np.testing.assert_allclose(camera.rays()[16, 16], forward, atol=1e-12)
    corners = np.array(list(np.ndindex(2, 2, 2))) * SHAPE - np.array(camera.eye)
    seen = corners @ camera.axes.T
    assert (np.abs(seen[:, :2]) <= seen[:, 2:] * np.tan(np.radians(30)) + 1e-9).all()


def test_azimuths_turn_from_the_front_to_the_right():
    front, side = orbit(SHAPE, 0, 0, 4, 4), orbit(SHAPE, 90, 0, 4, 4)
    assert front.eye[2] > SHAPE[2] and front.eye[0] == pytest.approx(8)
    assert side.eye[0] > SHAPE[0] and side.eye[2] == pytest.approx(10)
    np.testing.assert_allclose(front.axes, basis(0, 0), atol=1e-12)  # the walk's yaw 0 looks along -z too


def test_looking_straight_down_has_the_far_side_at_the_top():
    np.testing.assert_allclose(look_at((0, 9, 0), (0, 0, 0), 4, 4).axes[1], [0, 0, -1], atol=1e-12)


def test_rays_are_unit_and_pixels_run_right_and_down():
    rays = orbit(SHAPE, 20, 30, 7, 5).rays()
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1)
    axes = orbit(SHAPE, 20, 30, 7, 5).axes
    assert (np.diff(rays @ axes[0], axis=1) > 0).all() and (np.diff(rays @ axes[1], axis=0) < 0).all()


def test_bad_cameras():
    with pytest.raises(ValueError, match=r"eye and target are both \(1, 2, 3\)"):
        look_at((1, 2, 3), (1, 2, 3), 4, 4)
    with pytest.raises(ValueError, match="expected unit rows at right angles"):
        Camera((0, 0, 0), np.ones((3, 3)), 4, 4)
    with pytest.raises(ValueError, match="0 x 4 pixels"):
        Camera((0, 0, 0), np.eye(3), 0, 4)
    with pytest.raises(ValueError, match="fovy_deg is 180"):
        Camera((0, 0, 0), np.eye(3), 4, 4, 180)
