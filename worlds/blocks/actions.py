"""The action vector: one layout for recording, training, evaluation and live play.

The block world's action is float32 `[A]`, A = 9: `yaw` and `pitch` in [-1, 1], fractions of `MAX_YAW_DEG` and
`MAX_PITCH_DEG` turned in one frame (yaw > 0 turns right, pitch > 0 looks up), then seven keys in {0, 1}.
Bins of the camera axes serve evaluation alone and are derived (`yaw_bin`), never stored: a stored bin
could disagree with its own source, and a binned input loses small motions.

A dataset of another game has columns of its own; its manifest names them and the keys that press them (`Layout`). The
gateway reads layouts too, where there is no NumPy: only functions that make vectors import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ACTION_NAMES = ("yaw", "pitch", "w", "a", "s", "d", "jump", "sprint", "sneak")
A = len(ACTION_NAMES)
YAW, PITCH, W, LEFT, S, RIGHT, JUMP, SPRINT, SNEAK = range(A)
KEYS = ACTION_NAMES[2:]
MAX_YAW_DEG = 8.0
MAX_PITCH_DEG = 6.0
MOST_KEYS = 32  # bits of live play's key mask

# The held actions that every evaluation compares, in this order; chance of a guess is 1 / len(...).
PROBES = ("noop", "w", "s", "a", "d", "jump", "yaw+", "yaw-", "pitch+", "pitch-")


def action(*pressed: str, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    """float32 [A] for the held keys; yaw and pitch in [-1, 1]. An unknown key raises ValueError."""
    import numpy as np

    out = np.zeros(A, np.float32)
    out[YAW], out[PITCH] = np.clip(yaw, -1, 1), np.clip(pitch, -1, 1)
    for key in pressed:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r}: expected one of {', '.join(KEYS)}")
        out[ACTION_NAMES.index(key)] = 1.0
    return out


def probe(name: str) -> np.ndarray:
    """The action vector float32 [A] of one of `PROBES`."""
    axes = {"yaw+": (1, 0), "yaw-": (-1, 0), "pitch+": (0, 1), "pitch-": (0, -1)}
    if name in axes:
        return action(yaw=axes[name][0], pitch=axes[name][1])
    return action() if name == "noop" else action(name)


@dataclass(frozen=True)
class Layout:
    """The columns of an action vector, and the keyboard keys that press them.

    `names`: one a column. Where the first two are yaw and pitch there is a camera, and keys combine. Any other
    layout is a choice among discrete actions: 1 in one column, or nowhere while no key is held.
    `keys`: KeyboardEvent.code -> name of its column. Of two keys for one column the first is the one to show.
    """

    names: tuple[str, ...]
    keys: Mapping[str, str]

    @property
    def has_camera(self) -> bool:
        return self.names[:2] == ACTION_NAMES[:2]

    @property
    def pressed_by_keys(self) -> tuple[str, ...]:
        """The columns that a held-key mask presses: bit i is the i-th of them."""
        return self.names[2:] if self.has_camera else self.names

    @property
    def all_keys(self) -> int:
        """The mask with every key held."""
        return (1 << len(self.pressed_by_keys)) - 1

    def from_mask(self, mask: int, yaw_deg: float, pitch_deg: float) -> np.ndarray:
        """Live input -> float32 [len(names)]; degrees turned are clipped to one frame's reach."""
        import numpy as np

        held = [float(mask >> i & 1) for i in range(len(self.pressed_by_keys))]
        if not self.has_camera:
            return np.array(held, np.float32)
        turn = np.clip([yaw_deg / MAX_YAW_DEG, pitch_deg / MAX_PITCH_DEG], -1, 1)
        return np.array([*turn, *held], np.float32)


BLOCKS = Layout(
    ACTION_NAMES,
    {
        "KeyW": "w",
        "KeyA": "a",
        "KeyS": "s",
        "KeyD": "d",
        "Space": "jump",
        "ShiftLeft": "sprint",
        "KeyC": "sneak",  # Ctrl+W closes the tab
        "ControlLeft": "sneak",
    },
)


def layout_of(manifest: Mapping[str, Any]) -> Layout:
    """The layout that a dataset's manifest declares, or the `data` of a checkpoint's.

    `keys` may be left out for the block world's columns. ValueError says what does not fit.
    """
    names, keys = manifest.get("action_names"), manifest.get("keys")
    if names == list(ACTION_NAMES) and keys is None:
        return BLOCKS
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
        raise ValueError(f"action_names {names!r}: expected a list of names")
    if len(set(names)) < len(names):
        raise ValueError(f"action_names {names}: expected each name once")
    columns = Layout(tuple(names), {}).pressed_by_keys
    if len(columns) > MOST_KEYS:
        raise ValueError(f"{len(columns)} columns for keys, expected at most {MOST_KEYS}")
    if not isinstance(keys, dict) or not all(name in columns for name in keys.values()):
        raise ValueError(f"keys {keys!r}: expected {{keyboard code: one of {', '.join(columns)}}}")
    return Layout(tuple(names), keys)
