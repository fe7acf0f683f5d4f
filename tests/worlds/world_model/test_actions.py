import numpy as np
import pytest

from worlds.world_model import actions as act


def test_from_mask_reads_every_key_bit():
    for i, key in enumerate(act.KEYS):
        assert np.array_equal(act.from_mask(1 << i, 0, 0), act.action(key))


def test_camera_is_a_fraction_of_one_frames_reach():
    a = act.from_mask(0, act.MAX_YAW_DEG / 2, -2 * act.MAX_PITCH_DEG)
    assert a[act.YAW] == pytest.approx(0.5) and a[act.PITCH] == -1.0


def test_unknown_key_names_value_and_expectation():
    with pytest.raises(ValueError, match=r"'q'.*expected one of w, a, s, d"):
        act.action("q")


def test_probes_are_distinct():
    vectors = {tuple(act.probe(name)) for name in act.PROBES}
    assert len(vectors) == len(act.PROBES)
