"""What a session makes of its client's inputs: workers/sessions.py, without a socket."""

from __future__ import annotations

import numpy as np
import pytest
from fake_model import DISCRETE

from terrarium.store.play_protocol import Input
from terrarium.workers.sessions import Controls
from terrarium.worlds.blocks.actions import ACTION_NAMES, BLOCKS

W = 1


def _input(keys: int = 0, yaw: float = 0.0, seq: int = 1) -> Input:
    return Input(keys, yaw, 0.0, seq, 0, 5.0)


def test_newest_mask_wins_and_a_tap_still_acts_once() -> None:
    controls = Controls()
    controls.put(_input(W, seq=1), 0.00)
    controls.put(_input(0, seq=2), 0.01)
    taken = controls.take(0.03, BLOCKS)
    assert taken.action[ACTION_NAMES.index("w")] == 1 and controls.answered == (2, 5.0)
    assert taken.queue_ms == pytest.approx(20.0)
    again = controls.take(0.06, BLOCKS)
    assert again.action[ACTION_NAMES.index("w")] == 0 and again.queue_ms == 0.0


def test_held_key_is_released_when_the_client_falls_silent() -> None:
    controls = Controls()
    controls.put(_input(W), 0.0)
    assert controls.take(0.5, BLOCKS).action[2] == 1
    assert controls.take(1.5, BLOCKS).action[2] == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_turns_add_up_and_a_flick_is_carried_two_frames(sign: int) -> None:
    controls = Controls()
    for _ in range(3):
        controls.put(_input(yaw=sign * 4.0), 0.0)
    assert [controls.take(0.1, BLOCKS).action[0] * 8 for _ in range(3)] == pytest.approx([sign * 8, sign * 4, 0])
    controls.put(_input(yaw=sign * 1e30), 0.0)
    assert [controls.take(0.1, BLOCKS).action[0] for _ in range(4)] == [sign, sign, sign, 0]


def test_unknown_key_bits_are_ignored() -> None:
    controls = Controls()
    controls.put(_input(0xFFFFFF80), 0.0)
    assert not controls.take(0.0, BLOCKS).action.any()


def test_of_discrete_actions_the_key_pressed_last_acts() -> None:
    controls = Controls()
    seen = []
    for seq, mask in enumerate((0b001, 0b011, 0b010, 0b110, 0b010, 0b000)):
        controls.put(_input(mask, seq=seq), 0.0)
        seen.append(controls.take(0.0, DISCRETE).action.tolist())
    left, right, fire = np.eye(3).tolist()
    assert seen == [left, right, right, fire, right, [0.0, 0.0, 0.0]]


def test_a_tap_beside_a_held_key_acts_once_and_turns_do_nothing_without_a_camera() -> None:
    controls = Controls()
    for mask in (0b001, 0b101, 0b001):
        controls.put(_input(mask, yaw=8.0), 0.0)
    controls.put(_input(0b1001), 0.0)  # and a key that this game does not have
    assert [controls.take(0.0, DISCRETE).action.tolist() for _ in range(2)] == [[0, 0, 1], [1, 0, 0]]
