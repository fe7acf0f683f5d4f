"""Camera: -Z is ahead at yaw 0, right is +X, up is +Y."""

import numpy as np
import pytest

from terrarium.worlds.blocks.camera import basis, pixel_rays


@pytest.mark.parametrize(
    ("yaw", "pitch", "forward"),
    [(0, 0, (0, 0, -1)), (90, 0, (1, 0, 0)), (180, 0, (0, 0, 1)), (270, 0, (-1, 0, 0)), (0, 90, (0, 1, 0))],
)
def test_forward(yaw, pitch, forward):
    np.testing.assert_allclose(basis(yaw, pitch)[2], forward, atol=1e-12)


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (33, 20), (250, -60)])
def test_axes_are_right_handed(yaw, pitch):
    right, up, forward = basis(yaw, pitch)
    np.testing.assert_allclose(np.cross(right, up), -forward, atol=1e-12)
    np.testing.assert_allclose(basis(yaw, pitch) @ basis(yaw, pitch).T, np.eye(3), atol=1e-12)


def test_rays_span_the_field_of_view():
    rays = pixel_rays(64, 48, 60.0)
    assert rays.shape == (48, 64, 3)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1)
    assert rays[0, 0, 0] < 0 < rays[0, 0, 1]  # top left looks left and up
    edge = rays[0, 0, 1] / rays[0, 0, 2] * 48 / 47  # from the pixel's centre to the picture's edge
    np.testing.assert_allclose(np.degrees(np.arctan(edge)), 30)
