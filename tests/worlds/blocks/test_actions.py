import numpy as np
import pytest

from terrarium.worlds.blocks import actions as act


def test_from_mask_reads_every_key_bit():
    for i, key in enumerate(act.KEYS):
        assert np.array_equal(act.BLOCKS.from_mask(1 << i, 0, 0), act.action(key))


def test_camera_is_a_fraction_of_one_frames_reach():
    a = act.BLOCKS.from_mask(0, act.MAX_YAW_DEG / 2, -2 * act.MAX_PITCH_DEG)
    assert a[act.YAW] == pytest.approx(0.5) and a[act.PITCH] == -1.0


def test_unknown_key_names_value_and_expectation():
    with pytest.raises(ValueError, match=r"'q'.*expected one of w, a, s, d"):
        act.action("q")


def test_probes_are_distinct():
    vectors = {tuple(act.probe(name)) for name in act.PROBES}
    assert len(vectors) == len(act.PROBES)


DISCRETE = {"action_names": ["left", "fire"], "keys": {"KeyA": "left", "ArrowLeft": "left", "Space": "fire"}}


def test_a_layout_without_camera_has_a_column_a_key():
    layout = act.layout_of(DISCRETE)
    assert not layout.has_camera and layout.pressed_by_keys == ("left", "fire")
    assert layout.from_mask(0b10, 40.0, 40.0).tolist() == [0.0, 1.0]
    assert layout.from_mask(0b100, 0, 0).tolist() == [0.0, 0.0], "a bit beyond the keys"


def test_the_block_worlds_columns_need_no_keys():
    assert act.layout_of({"action_names": list(act.ACTION_NAMES)}) is act.BLOCKS
    assert act.BLOCKS.has_camera and act.BLOCKS.pressed_by_keys == act.KEYS
    assert set(act.BLOCKS.keys.values()) == set(act.KEYS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action_names": None}, "action_names None: expected a list"),
        ({"action_names": []}, r"action_names \[\]: expected a list"),
        ({"action_names": ["left", 3]}, r"action_names \['left', 3\]"),
        ({"action_names": ["left", "left", "fire"]}, "each name once"),
        ({"keys": None}, "keys None: expected"),
        ({"keys": {"KeyA": "jump"}}, "keys {'KeyA': 'jump'}: expected .*left, fire"),
        ({"action_names": ["left", "fire", *map(str, range(31))]}, "33 columns for keys, expected at most 32"),
    ],
)
def test_wrong_layouts_are_explained(change, message):
    with pytest.raises(ValueError, match=message):
        act.layout_of(DISCRETE | change)
