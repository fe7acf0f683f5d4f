"""GameFactory's layout (GF-Minecraft, arXiv:2501.08325; huggingface.co/datasets/KwaiVGI/GameFactory-Dataset).

    metadata/seed_1_part_1.json    {"actions": {"0": {"ws", "ad", "scs", "yaw_delta", "pitch_delta", ...}, "1": ...}}
    video/seed_1_part_1.mp4        640 x 360, 16 fps

ws: 1 W, 2 S. ad: 1 A, 2 D. scs: 1 jump, 2 sneak, 3 sprint. Deltas count units of 15 degrees, as in MineDojo and
Matrix-Game (github.com/SkyworkAI/Matrix-Game/issues/16); yaw > 0 turns right, pitch > 0 looks down, as in Minecraft.
Entry i is noted together with frame i, which is what the step returned: it leads from frame i - 1 to frame i, and
entry 0 leads to nowhere. A set with one entry less than frames has left that one out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.actions import KEYS
from terrarium.worlds.episodes.kinds import ImportConfig
from terrarium.worlds.episodes.sources.recording import Clip, Recording, Steps, to_actions
from terrarium.worlds.episodes.sources.video import fps_of, frame_times, read_frames

UNIT_DEG = 15.0
FIELDS = ("ws", "ad", "scs", "yaw_delta", "pitch_delta")
CHOICES = {"w": ("ws", 1), "s": ("ws", 2), "a": ("ad", 1), "d": ("ad", 2),
           "jump": ("scs", 1), "sneak": ("scs", 2), "sprint": ("scs", 3)}  # fmt: skip


def iter_episodes(config: ImportConfig) -> Iterator[Recording]:
    """Every name below metadata/ or video/, in `config.path` or in the folders right below it."""
    root = Path(config.path)
    inner = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    folders = [p for p in [root, *inner] if (p / "metadata").is_dir() and (p / "video").is_dir()]
    if not folders:
        raise ValueError(f"{root} has not GameFactory's layout: expected metadata/*.json and video/*.mp4")
    for folder in folders:
        stems = {p.stem for p in [*(folder / "metadata").glob("*.json"), *(folder / "video").glob("*.mp4")]}
        for stem in sorted(stems):
            video, metadata = folder / "video" / f"{stem}.mp4", folder / "metadata" / f"{stem}.json"
            world = str(folder / stem.partition("_part_")[0])
            yield Recording(str(video.relative_to(root)), world, partial(_open, video, metadata, config))


def _open(video: Path, metadata: Path, config: ImportConfig) -> Clip:
    steps = read_steps(metadata)
    times = frame_times(video)
    spare = len(steps.keys) - (len(times) - 1)
    if spare not in (0, 1):
        raise ValueError(
            f"{metadata.name} has {len(steps.keys)} actions, {video.name} {len(times)} frames: "
            "expected as many, or one action less"
        )
    steps = Steps(steps.keys[spare:], steps.turn_deg[spare:])
    actions, clipped = to_actions(steps, config.stride, (config.max_yaw_deg, config.max_pitch_deg))
    wanted = np.arange(len(actions) + 1) * config.stride
    frames = read_frames(video, wanted, (config.height, config.width))
    return Clip(frames, actions, fps_of(times) / config.stride, clipped)


def read_steps(metadata: Path) -> Steps:
    """The entries of one metadata file, in order. ValueError for one that is missing or that says something else."""
    entries = _entries(metadata)
    try:
        table = np.array([[float(entry[name]) for name in FIELDS] for entry in entries])
    except (KeyError, TypeError, ValueError) as e:
        raise ValueError(f"{metadata.name}: an action lacks {e} or has no number there") from None
    column = dict(zip(FIELDS, table.T, strict=True))
    for name, most in {"ws": 2, "ad": 2, "scs": 3}.items():
        strange = column[name][~np.isin(column[name], range(most + 1))]
        if len(strange):
            raise ValueError(f"{metadata.name}: {name} is {strange[0]:g}, expected 0..{most}")
    if not np.isfinite(table).all():
        raise ValueError(f"{metadata.name}: a delta is not finite")
    keys = np.stack([column[field] == choice for field, choice in (CHOICES[key] for key in KEYS)], axis=1)
    turn_deg = np.stack([column["yaw_delta"], -column["pitch_delta"]], axis=1) * UNIT_DEG
    return Steps(keys, turn_deg)


def _entries(metadata: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(metadata.read_text())
    except FileNotFoundError:
        raise ValueError(f"{metadata.name} is missing") from None
    except (OSError, ValueError) as e:
        raise ValueError(f"{metadata.name} cannot be read: {e}") from None
    actions = data.get("actions") if isinstance(data, dict) else None
    if not isinstance(actions, dict) or not actions:
        raise ValueError(f"{metadata.name} holds no actions: expected {{'actions': {{'0': ..., '1': ...}}}}")
    absent = [i for i in range(len(actions)) if str(i) not in actions]
    if absent:
        raise ValueError(f"{metadata.name} lacks action {absent[0]} of {len(actions)}")
    return [actions[str(i)] for i in range(len(actions))]
