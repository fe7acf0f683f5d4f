"""What to press, as text: "w*8 d*4 w+jump left*3".

Words between spaces follow each other, a frame each; `*8` repeats one, `+` holds several at once. The words are the
names of a model's keys, `noop` for none, and, where there is a camera, `left`, `right`, `up` and `down`, which turn as
far as a frame can.
"""

from __future__ import annotations

import re

import numpy as np

from terrarium.worlds.blocks.actions import MAX_PITCH_DEG, MAX_YAW_DEG, Layout

NOTHING = "noop"
TURNS = {
    "left": (-MAX_YAW_DEG, 0.0),
    "right": (MAX_YAW_DEG, 0.0),
    "up": (0.0, MAX_PITCH_DEG),
    "down": (0.0, -MAX_PITCH_DEG),
}


def words(layout: Layout) -> tuple[str, ...]:
    """What a script for this layout may press."""
    turns = tuple(turn for turn in TURNS if layout.has_camera and turn not in layout.pressed_by_keys)
    return *layout.pressed_by_keys, *turns, *([] if NOTHING in layout.pressed_by_keys else [NOTHING])


def action_of(layout: Layout, keys: str, turn: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """The held keys ("w+jump", "" for none) and degrees of yaw and pitch turned in one frame -> float32 [A].

    ValueError names what the layout does not have, and a turn beyond one frame's reach.
    """
    known = words(layout)
    yaw_deg, pitch_deg = map(float, turn)
    mask, held = 0, [word for word in keys.strip().split("+") if word]
    for word in held:
        if word not in known:
            raise ValueError(f"key {word!r}: expected one of {', '.join(known)}, joined by +")
        if word in layout.pressed_by_keys:
            mask |= 1 << layout.pressed_by_keys.index(word)
        elif word in TURNS:
            yaw_deg, pitch_deg = yaw_deg + TURNS[word][0], pitch_deg + TURNS[word][1]
    if not layout.has_camera and (yaw_deg or pitch_deg):
        raise ValueError(f"turn {turn}: this model has no camera, expected (0, 0)")
    if not layout.has_camera and mask.bit_count() > 1:
        raise ValueError(f"keys {keys!r}: this model takes one action a frame")
    if not (abs(yaw_deg) <= MAX_YAW_DEG and abs(pitch_deg) <= MAX_PITCH_DEG):
        reach = f"at most {MAX_YAW_DEG:g} of yaw and {MAX_PITCH_DEG:g} of pitch in one frame"
        raise ValueError(f"a turn of ({yaw_deg:g}, {pitch_deg:g}) degrees: expected {reach}")
    return layout.from_mask(mask, yaw_deg, pitch_deg)


def actions_of(layout: Layout, script: str) -> np.ndarray:
    """A script of N frames -> float32 [N, A]. ValueError names the word that cannot be read."""
    actions: list[np.ndarray] = []
    for word in script.split():
        match = re.fullmatch(r"(.+?)(?:\*(\d{1,6}))?", word)
        if match is None or "*" in match[1]:
            raise ValueError(f"{word!r} in the script: expected keys joined by +, then perhaps *N, such as w+jump*3")
        actions += [action_of(layout, match[1])] * int(match[2] or 1)
    if not actions:
        raise ValueError(f"script {script!r} has no word: expected w*8 or the like, of {', '.join(words(layout))}")
    return np.stack(actions)
