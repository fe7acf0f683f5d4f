import numpy as np
import pytest

from terrarium.worlds.pictures.frechet import frechet_distance, kernel_distance


def test_distance_of_normal_distributions_with_known_moments():
    """Axis-aligned: |m1 - m2|^2 plus the squared differences of the standard deviations."""
    rng = np.random.default_rng(0)
    a = rng.normal(0, [1, 2, 3], (200_000, 3))
    b = rng.normal([1, 0, 0], [2, 2, 1], (200_000, 3))
    assert frechet_distance(a, b) == pytest.approx(1 + 1 + 0 + 4, rel=0.02)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_correlated_features_that_turn_are_told_apart():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50_000, 1))
    together = np.concatenate([x, x + 0.1 * rng.normal(size=x.shape)], axis=1)
    against = together * [1, -1]  # the same means and variances
    assert frechet_distance(together, against) > 1


def test_one_vector_has_no_covariance():
    with pytest.raises(ValueError, match="1 and 5 feature vectors"):
        frechet_distance(np.zeros((1, 4)), np.zeros((5, 4)))


def test_kernel_distance_is_that_of_its_polynomial():
    """Of unit vectors that all agree, (1 + 1)^3 on either side, against 1 / F as their product is zero across."""
    a, b = np.tile([2.0, 0, 0, 0], (5, 1)), np.tile([0, 2.0, 0, 0], (7, 1))
    assert kernel_distance(a, a) == pytest.approx(0)
    assert kernel_distance(a, b) == pytest.approx(8 + 8 - 2)


def test_kernel_distance_between_samples_falls_with_their_size_and_not_below_zero():
    rng = np.random.default_rng(0)
    few, many = (np.mean([kernel_distance(*rng.normal(size=(2, n, 8))) for _ in range(50)]) for n in (12, 120))
    assert 0 < many < few / 5
    assert kernel_distance(rng.normal(size=(200, 8)), rng.normal(size=(200, 8)) + 1) > 10 * many
