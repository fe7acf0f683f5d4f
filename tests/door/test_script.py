"""Scripts of keys, for layouts with a camera and without."""

from __future__ import annotations

import numpy as np
import pytest

from terrarium.script import action_of, actions_of, words
from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.actions import BLOCKS, Layout

CRAFTER = Layout(("noop", "move_left", "do"), {"Space": "do"})


def test_a_script_is_a_frame_a_word() -> None:
    found = actions_of(BLOCKS, "w*2 w+jump left noop up*1")
    expected = [act.action("w"), act.action("w"), act.action("w", "jump")]
    expected += [act.action(yaw=-1), act.action(), act.action(pitch=1)]
    assert found.dtype == np.float32 and (found == np.stack(expected)).all()
    assert (action_of(BLOCKS, "s+sprint", (2, -3)) == act.action("s", "sprint", yaw=0.25, pitch=-0.5)).all()
    assert (action_of(BLOCKS, "") == act.action()).all()


def test_a_game_of_discrete_actions_has_words_of_its_own() -> None:
    assert words(CRAFTER) == ("noop", "move_left", "do")
    assert actions_of(CRAFTER, "do*2 noop").tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("layout", "script", "says"),
    [
        (BLOCKS, "w x", "key 'x': expected one of w, a, s, d, jump, sprint, sneak, left, right, up, down, noop"),
        (BLOCKS, "w**2", r"'w\*\*2' in the script: expected keys joined by"),
        (BLOCKS, "w*-1", r"'w\*-1' in the script"),
        (BLOCKS, " ", "script ' ' has no word"),
        (BLOCKS, "left+left", r"a turn of \(-16, 0\) degrees: expected at most 8 of yaw and 6 of pitch"),
        (CRAFTER, "do+noop", "'do.noop': this model takes one action a frame"),
        (CRAFTER, "left", "key 'left': expected one of noop, move_left, do"),
    ],
)
def test_what_cannot_be_pressed_is_named(layout: Layout, script: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        actions_of(layout, script)


@pytest.mark.parametrize("turn", [(9, 0), (0, -7), (float("nan"), 0)])
def test_a_turn_beyond_a_frame_is_refused(turn: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected at most 8 of yaw and 6 of pitch"):
        action_of(BLOCKS, "w", turn)
    with pytest.raises(ValueError, match=r"no camera, expected \(0, 0\)"):
        action_of(CRAFTER, "do", turn)
