import numpy as np
import pytest

from terrarium.worlds.pictures.metrics import ssim


def test_ssim_of_frames():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (2, 3, 24, 16, 3), dtype=np.uint8)
    b = a.copy()
    b[1, 2] = 255 - b[1, 2]
    got = ssim(a, b)
    assert got.shape == (2, 3)
    np.testing.assert_allclose(got.ravel()[:5], 1, atol=1e-9)
    assert got[1, 2] < -0.5
    with pytest.raises(ValueError, match="at least 11"):
        ssim(a[..., :10, :, :], b[..., :10, :, :])
