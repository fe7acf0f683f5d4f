"""The action vector: one layout for recording, training, evaluation and live play.

An action is float32 `[A]`, A = 9: `yaw` and `pitch` in [-1, 1], fractions of `MAX_YAW_DEG` and
`MAX_PITCH_DEG` turned in one frame (yaw > 0 turns right, pitch > 0 looks up), then seven keys in {0, 1}.
Bins of the camera axes serve evaluation alone and are derived (`yaw_bin`), never stored: a stored bin
could disagree with its own source, and a binned input loses small motions.
"""

from __future__ import annotations

import numpy as np

ACTION_NAMES = ("yaw", "pitch", "w", "a", "s", "d", "jump", "sprint", "sneak")
A = len(ACTION_NAMES)
YAW, PITCH, W, LEFT, S, RIGHT, JUMP, SPRINT, SNEAK = range(A)
KEYS = ACTION_NAMES[2:]
MAX_YAW_DEG = 8.0
MAX_PITCH_DEG = 6.0

# The held actions that every evaluation compares, in this order; chance of a guess is 1 / len(...).
PROBES = ("noop", "w", "s", "a", "d", "jump", "yaw+", "yaw-", "pitch+", "pitch-")


def action(*pressed: str, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    """float32 [A] for the held keys; yaw and pitch in [-1, 1]. An unknown key raises ValueError."""
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


def from_mask(keys: int, yaw_deg: float, pitch_deg: float) -> np.ndarray:
    """Live input to an action: bit i of `keys` is `KEYS[i]`; degrees turned are clipped to one frame's reach."""
    held = [key for i, key in enumerate(KEYS) if keys >> i & 1]
    return action(*held, yaw=yaw_deg / MAX_YAW_DEG, pitch=pitch_deg / MAX_PITCH_DEG)
