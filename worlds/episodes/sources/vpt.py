"""The contractor recordings of VPT (arXiv:2206.11795; github.com/openai/Video-Pre-Training).

    player-hash-20220421-092639.mp4    20 frames a second
    player-hash-20220421-092639.jsonl  a line a tick: {"mouse": {"dx", "dy"}, "keyboard": {"keys": [...]}, "isGuiOpen"}

Line i is what was pressed on seeing frame i, so it leads to frame i + 1 and the last line leads out of the video.
One mouse unit turns the camera 360 / 2400 degrees; dx > 0 turns right, dy > 0 looks down. While a menu is open the
mouse moves a cursor and the keys are text: such a tick is an action of nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.actions import KEYS
from terrarium.worlds.episodes.kinds import ImportConfig
from terrarium.worlds.episodes.sources.recording import Clip, Recording, Steps, to_actions
from terrarium.worlds.episodes.sources.video import fps_of, frame_times, read_frames

MOUSE_DEG = 360 / 2400
KEY = {"w": "w", "a": "a", "s": "s", "d": "d", "jump": "space", "sprint": "left.control", "sneak": "left.shift"}


def iter_episodes(config: ImportConfig) -> Iterator[Recording]:
    """Every name in `config.path` that has an .mp4 or a .jsonl."""
    root = Path(config.path)
    stems = sorted({p.stem for pattern in ("*.mp4", "*.jsonl") for p in root.glob(pattern)})
    if not stems:
        raise ValueError(f"{root} has not VPT's layout: expected pairs of .mp4 and .jsonl")
    for stem in stems:
        world = re.sub(r"-\d{8}-\d{6}$", "", stem)  # five-minute parts of one player's session
        yield Recording(f"{stem}.mp4", world, partial(_open, root / stem, config))


def _open(stem: Path, config: ImportConfig) -> Clip:
    video, lines = stem.with_name(f"{stem.name}.mp4"), stem.with_name(f"{stem.name}.jsonl")
    steps = read_steps(lines)
    times = frame_times(video)
    n = len(times) - 1
    if len(steps.keys) not in (n, n + 1):
        raise ValueError(f"{len(steps.keys)} ticks, {len(times)} frames: expected as many, or one tick less")
    steps = Steps(steps.keys[:n], steps.turn_deg[:n])
    actions, clipped = to_actions(steps, config.stride, (config.max_yaw_deg, config.max_pitch_deg))
    wanted = np.arange(len(actions) + 1) * config.stride
    frames = read_frames(video, wanted, (config.height, config.width))
    return Clip(frames, actions, fps_of(times) / config.stride, clipped)


def read_steps(file: Path) -> Steps:
    """The ticks of one .jsonl. ValueError names the line that is not one."""
    try:
        with file.open() as lines:
            ticks = [_tick(line, f"{file.name}:{i}") for i, line in enumerate(lines, start=1)]
    except FileNotFoundError:
        raise ValueError(f"{file.name} is missing") from None
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"{file.name} cannot be read: {e}") from None
    if not ticks:
        raise ValueError(f"{file.name} holds no ticks")
    return Steps(np.array([keys for keys, _ in ticks], bool), np.array([turn for _, turn in ticks], np.float64))


def _tick(line: str, where: str) -> tuple[list[bool], tuple[float, float]]:
    try:
        tick: dict[str, Any] = json.loads(line)
        pressed = set(tick["keyboard"]["keys"])
        dx, dy = float(tick["mouse"]["dx"]), float(tick["mouse"]["dy"])
        in_menu = bool(tick.get("isGuiOpen", False))
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"{where} is no tick: {type(e).__name__}: {e}") from None
    if in_menu:
        return [False] * len(KEYS), (0.0, 0.0)
    return [f"key.keyboard.{KEY[key]}" in pressed for key in KEYS], (dx * MOUSE_DEG, -dy * MOUSE_DEG)
