"""Recorded play (workers/play_log.py): what people saw and pressed in the playground becomes training data.

    plays/<seed>-<walk>/000/play.json    {"seed", "checkpoint", "fps", "frames", "frame_size", "action_names", "keys",
                                          "source", "state"}
                            frames.npy   uint8 [T, H, W, 3], the model's pictures
                            actions.npy  float32 [T-1, A]
                            pose.npy     float32 [T, 5], the simulator's, where there is one

`pictures` chooses the model's, or the simulator's: it walks again, from `state` under the same actions, and draws in
any size what the model should have drawn. Walks of one seed are one world.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from terrarium.worlds.blocks.actions import layout_of
from terrarium.worlds.blocks.world import State, world_of
from terrarium.worlds.episodes.kinds import ImportPlayConfig
from terrarium.worlds.episodes.sources.recording import Clip, Recording

FILES = ("play.json", "frames.npy", "actions.npy", "pose.npy")


def iter_episodes(config: ImportPlayConfig) -> Iterator[Recording]:
    """Every folder below those of `config.plays` that holds one of a play's files; those still being written apart."""
    roots = [Path(path) for path in config.plays]
    parts = {found.parent for root in roots for name in FILES for found in root.rglob(name)}
    folders = sorted(part for part in parts if not any(name.startswith(".") for name in (part.name, part.parent.name)))
    if not folders:
        places = ", ".join(map(str, roots))
        raise ValueError(
            f"{places} holds no recorded play: expected folders with play.json, frames.npy and actions.npy"
        )
    for folder in folders:
        walk = folder.parent.name if folder.name.isdigit() else folder.name
        yield Recording(f"{walk}/{folder.name}", walk.partition("-")[0], partial(_open, folder, config))


def _open(folder: Path, config: ImportPlayConfig) -> Clip:
    facts = _facts(folder)
    layout, size = layout_of(facts), (config.height, config.width)
    actions = np.array(_load(folder, "actions.npy"), np.float32)
    pose = np.array(_load(folder, "pose.npy")) if (folder / "pose.npy").is_file() else None
    if actions.ndim != 2 or actions.shape[1] != len(layout.names) or not np.isfinite(actions).all():
        raise ValueError(f"actions.npy is {actions.shape}, expected finite [T-1, {len(layout.names)}]")
    if pose is not None and len(pose) != len(actions) + 1:
        raise ValueError(f"{len(pose)} poses and {len(actions)} actions, expected one pose more")
    frames = _shown(folder, size) if config.pictures == "model" else _replay(facts, actions, pose, size)
    return Clip(frames, actions, float(facts["fps"]), pose=pose, layout=layout, source=facts["source"])


def _shown(folder: Path, size: tuple[int, int]) -> Iterator[np.ndarray]:
    for frame in _load(folder, "frames.npy"):
        if frame.shape[:2] == size:
            yield frame
        else:
            yield np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BOX))


def _replay(
    facts: dict[str, Any], actions: np.ndarray, pose: np.ndarray | None, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """The walk once more. ValueError where it ends elsewhere: the world is not the one that was played."""
    if facts["state"] is None or pose is None or facts["source"]["kind"] != "blocks":
        raise ValueError("no simulator was beside this play: choose the pictures of the model")
    world = world_of(facts["source"], size[1], size[0])
    yield world.reset(state=State(**facts["state"]))
    for action in actions:
        yield world.step(action)
    if not np.allclose(world.pose, pose[-1], atol=1e-3):
        raise ValueError(f"the replay ends at {world.pose.tolist()}, the play ended at {pose[-1].tolist()}")


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / "play.json").read_text())
        float(facts["fps"]), facts["source"]["kind"], facts["state"]
    except FileNotFoundError:
        raise ValueError("play.json is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ValueError(f"play.json cannot be read: {type(e).__name__}: {e}") from None
    return facts


def _load(folder: Path, name: str) -> np.ndarray:
    try:
        return np.load(folder / name, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f"{name} is missing") from None
    except (ValueError, EOFError, OSError) as e:
        raise ValueError(f"{name} is truncated or not a .npy file ({e})") from None
