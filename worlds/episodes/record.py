"""Recording: a random walker in the block world -> a dataset.

The walker holds each choice for a few frames, often presses a single key, and changes between choices at once, so
that every action is seen alone, in combination and at its onset.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from worlds.blocks import actions as act
from worlds.blocks.map_json import pack, read_map
from worlds.blocks.terrain import KINDS
from worlds.blocks.world import BlockWorld, world_of
from worlds.configs import RecordConfig
from worlds.episodes.format import finished_episode, write_episode, write_manifest
from worlds.progress import Progress, Stopped

FPS = 20.0  # a frame is the simulator's unit of time; this is the pace at which it looks natural
_MOVES = ("", "w", "s", "a", "d", "w a", "w d", "s a", "s d")
_MOVE_P = (0.22, 0.2, 0.14, 0.14, 0.14, 0.04, 0.04, 0.04, 0.04)
_TURNS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
_TURN_P = (0.5, 0.15, 0.15, 0.1, 0.1)


class Walker:
    """A policy: `next(pose) -> action [A]`. Camera turns are full speed half of the time, else uniform."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.left = 0
        self.held = act.action()

    def next(self, pitch_deg: float) -> np.ndarray:
        if self.left == 0:
            self.held, self.left = self._choose(pitch_deg), int(self.rng.integers(1, 13))
        self.left -= 1
        return self.held

    def _choose(self, pitch_deg: float) -> np.ndarray:
        rng = self.rng
        keys = _MOVES[rng.choice(len(_MOVES), p=_MOVE_P)].split()
        yaw, pitch = _TURNS[rng.choice(len(_TURNS), p=_TURN_P)]
        if pitch and rng.random() < abs(pitch_deg) / 40:  # mostly back towards the horizon, where the world is
            pitch = -int(np.sign(pitch_deg))
        speed = 1.0 if rng.random() < 0.5 else rng.uniform(0.1, 1.0)
        if rng.random() < 0.12:
            keys.append("jump")
        if keys and rng.random() < 0.15:
            keys.append(str(rng.choice(["sprint", "sneak"])))
        return act.action(*keys, yaw=yaw * speed, pitch=pitch * speed)


def walk(world: BlockWorld, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resets `world` to `seed` and walks: frames uint8 [steps+1, H, W, 3], actions [steps, A], pose [steps+1, 5]."""
    walker = Walker(np.random.default_rng([seed, 0xA11CE]))
    frames, actions, poses = [world.reset(seed)], [], [world.pose]
    for _ in range(steps):
        actions.append(walker.next(float(world.pose[4])))
        frames.append(world.step(actions[-1]))
        poses.append(world.pose)
    return np.stack(frames), np.stack(actions), np.stack(poses)


def record_dataset(config: RecordConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """The recipe `dataset.record`. Intact episodes of an interrupted run are kept."""
    output = out_dir / "output"
    source = _source(config)
    world = world_of(source, config.width, config.height)
    first_val = config.episodes - round(config.episodes * config.val_fraction)
    entries: list[dict[str, Any]] = []
    started = time.monotonic()
    for i in range(config.episodes):
        if progress.stop_requested():
            raise Stopped
        entries.append(_record_one(world, config, output, i, "train" if i < first_val else "val"))
        progress.step(i + 1, config.episodes, "record")
    frames = sum(e["length"] for e in entries)
    write_manifest(
        output,
        fps=FPS,
        frame_size=(config.height, config.width),
        source=source,
        episodes=entries,
    )
    _preview(output, entries, out_dir, progress)
    seconds = time.monotonic() - started
    return {
        "episodes": len(entries),
        "frames": frames,
        "seconds": round(seconds, 2),
        "fps_recorded": round(frames / seconds, 1),
    }


def _source(config: RecordConfig) -> dict[str, Any]:
    """Where the walks take place, so that it can be had again: a terrain by name, or a map as it is, not its path."""
    if config.world in KINDS:
        return {"kind": "blocks", "terrain": config.world, "config": asdict(config)}
    map_json = Path(config.world)
    name, packed = map_json.name, pack(read_map(map_json).blocks)
    return {"kind": "blocks", "terrain": name, "map": packed, "config": asdict(config) | {"world": name}}


def _record_one(world: BlockWorld, config: RecordConfig, output: Path, i: int, split: str) -> dict[str, Any]:
    folder = output / "episodes" / f"{i:06d}"
    done = finished_episode(folder)
    if done is not None:
        return done
    frames, actions, pose = walk(world, config.seed + i, config.steps)
    return write_episode(folder, frames, actions, pose, seed=config.seed + i, split=split)


def _preview(output: Path, entries: list[dict[str, Any]], out_dir: Path, progress: Progress) -> None:
    """A contact sheet: the first frames of a few episodes, eight frames apart."""
    from worlds.pictures.metrics import save_strip

    rows = [np.load(output / "episodes" / e["id"] / "frames.npy", mmap_mode="r")[:64:8] for e in entries[:6]]
    n = min(len(r) for r in rows)
    save_strip(out_dir / "episodes.png", [r[:n] for r in rows])
    progress.preview("episodes", out_dir / "episodes.png")
