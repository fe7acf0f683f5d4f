import pytest

from terrarium.worlds.noise_schedule import cosine_alphabar


def test_the_schedule_keeps_nearly_all_and_nearly_nothing_at_its_ends() -> None:
    alphabar = cosine_alphabar(1000)
    assert alphabar[0] > 0.999 and alphabar[-1] == pytest.approx(1e-4)
    assert (alphabar.diff() <= 0).all()
    assert alphabar[499] == pytest.approx(0.4938, abs=1e-3)  # cos^2(pi/2 (0.508/1.008)) / cos^2(pi/2 (0.008/1.008))
