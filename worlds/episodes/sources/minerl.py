"""MineRL's layout (arXiv:1907.13440; minerl.readthedocs.io): a folder a recording, at any depth.

    v3_some_player-1_100-2000/recording.mp4    64 x 64 or more
                              rendered.npz     action$forward, ..., action$camera [N, 2]: pitch, yaw in degrees
                              metadata.json    {"duration_ms", "duration_steps", ...}

A recording of N steps has N + 1 states, and the video's last frame shows the last state (minerl's own loader skips
what the video has before the first). State s lies (N - s) steps before the end, a step lasts duration_ms /
duration_steps, and its frame is the nearest in time: no frame rate is assumed. Without metadata.json each frame is a
state. Camera: yaw > 0 turns right, pitch > 0 looks down.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from terrarium.worlds.blocks.actions import KEYS
from terrarium.worlds.episodes.kinds import ImportConfig
from terrarium.worlds.episodes.sources.recording import Clip, Recording, Steps, to_actions
from terrarium.worlds.episodes.sources.video import fps_of, frame_times, read_frames

ACTION = {"w": "forward", "a": "left", "s": "back", "d": "right", "jump": "jump", "sprint": "sprint", "sneak": "sneak"}


def iter_episodes(config: ImportConfig) -> Iterator[Recording]:
    """Every folder below `config.path` that holds a recording.mp4 or a rendered.npz."""
    root = Path(config.path)
    folders = {p.parent for name in ("recording.mp4", "rendered.npz") for p in root.rglob(name)}
    if not folders:
        raise ValueError(f"{root} has not MineRL's layout: expected folders with recording.mp4 and rendered.npz")
    for folder in sorted(folders):
        world = re.sub(r"_\d+-\d+$", "", str(folder))  # parts of one player's stream are named by their steps
        yield Recording(str(folder.relative_to(root)), world, partial(_open, folder, config))


def _open(folder: Path, config: ImportConfig) -> Clip:
    steps = read_steps(folder / "rendered.npz")
    n = len(steps.keys)
    times = frame_times(folder / "recording.mp4")
    step_s = read_step_s(folder / "metadata.json", n)
    if step_s is None:
        if len(times) - 1 not in (n, n - 1):
            raise ValueError(f"{n} actions, {len(times)} frames and no metadata.json: expected one frame more")
        step_s, n = 1 / fps_of(times), len(times) - 1
    states_s = times[-1] - np.arange(n, -1, -1) * step_s
    if states_s[0] < times[0] - step_s:
        raise ValueError(f"{n} actions last {n * step_s:.2f} s, the video {times[-1] - times[0]:.2f} s")
    steps = Steps(steps.keys[-n:], steps.turn_deg[-n:])
    actions, clipped = to_actions(steps, config.stride, (config.max_yaw_deg, config.max_pitch_deg))
    wanted = nearest(times, states_s)[: len(actions) * config.stride + 1 : config.stride]
    frames = read_frames(folder / "recording.mp4", wanted, (config.height, config.width))
    return Clip(frames, actions, 1 / (step_s * config.stride), clipped)


def read_steps(file: Path) -> Steps:
    """The actions of one rendered.npz. ValueError where one is missing or their lengths differ."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            keys = [np.asarray(arrays[f"action${ACTION[key]}"]) for key in KEYS]
            camera = np.asarray(arrays["action$camera"], np.float64)
    except FileNotFoundError:
        raise ValueError(f"{file.name} is missing") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise ValueError(f"{file.name} cannot be read: {e}") from None
    shapes = {k.shape for k in keys}
    if shapes != {camera.shape[:1]} or camera.shape != (len(camera), 2):
        raise ValueError(f"{file.name}: keys of {sorted(shapes)}, camera {camera.shape}: expected [N] and [N, 2]")
    if not len(camera) or not np.isfinite(camera).all():
        raise ValueError(f"{file.name}: expected at least one action and finite camera angles")
    return Steps(np.stack(keys, axis=1) > 0, np.stack([camera[:, 1], -camera[:, 0]], axis=1))


def read_step_s(file: Path, n: int) -> float | None:
    """Seconds a step as recorded; None without the file. ValueError where it tells of another number of steps."""
    if not file.is_file():
        return None
    try:
        facts = json.loads(file.read_text())
        duration_s, steps = float(facts["duration_ms"]) / 1000, int(facts.get("duration_steps", n))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"{file.name} cannot be read: {type(e).__name__}: {e}") from None
    if abs(steps - n) > 1:
        raise ValueError(f"rendered.npz has {n} actions, {file.name} tells of {steps}")
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"{file.name}: duration_ms is {facts['duration_ms']!r}, expected a positive number")
    return duration_s / (steps or n)


def nearest(times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Index of the time in `times` (ascending, at least two) nearest to each of `at`."""
    right = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    return right - (at - times[right - 1] < times[right] - at)
