"""Recipe `dataset.record-gym`: random play of a gymnasium environment -> a dataset.

Each action is held for a while (at every step it is kept with probability `sticky`, else chosen anew), so that a
random player gets somewhere. An episode ends with the game; one of fewer than `MIN_STEPS` actions is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.episodes.format import finished_episode, write_episode, write_manifest
from terrarium.worlds.episodes.kinds import RecordGymConfig
from terrarium.worlds.episodes.sources.gym import Game
from terrarium.worlds.pictures.metrics import save_strip
from terrarium.worlds.progress import Progress, go_on

MIN_STEPS = 16  # as short as a recorded walk may be; a training clip must fit in
MOST_SHORT = 20  # such episodes in a row, before we give up


def record_gym(config: RecordGymConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Episode seeds count up from `config.seed`. Intact episodes of an interrupted run are kept."""
    game = Game(config.env, (config.height, config.width), config.frame_skip)
    output = out_dir / "output"
    first_val = config.episodes - round(config.episodes * config.val_fraction)
    entries: list[dict[str, Any]] = []
    for i in range(config.episodes):
        seed = entries[-1]["seed"] + 1 if entries else config.seed
        at_work = partial(go_on, progress, i, config.episodes, "record")
        entries.append(_record_one(game, config, output, i, seed, "train" if i < first_val else "val", at_work))
        progress.step(i + 1, config.episodes, "record")
    game.close()
    kept = {e["seed"] for e in entries}
    short = [s for s in range(config.seed, max(kept)) if s not in kept]
    write_manifest(
        output,
        fps=game.fps,
        frame_size=(config.height, config.width),
        source={"kind": "gym", "env": config.env, "config": asdict(config)},
        episodes=entries,
        report={"skipped": [{"name": f"seed {s}", "reason": f"over within {MIN_STEPS} actions"} for s in short]},
        layout=game.layout,
    )
    _preview(output, entries, out_dir, progress)
    return {
        "episodes": len(entries),
        "frames": sum(e["length"] for e in entries),
        "skipped": len(short),
        "actions": len(game.layout.names),
    }


def _record_one(
    game: Game, config: RecordGymConfig, output: Path, i: int, seed: int, split: str, at_work: Callable[[], None]
) -> dict[str, Any]:
    """The next episode that is long enough, from `seed` on."""
    folder = output / "episodes" / f"{i:06d}"
    done = finished_episode(folder)
    if done is not None:
        return done
    for tried in range(seed, seed + MOST_SHORT):
        frames, actions = play(game, tried, config.steps, config.sticky, at_work)
        if len(actions) >= MIN_STEPS:
            return write_episode(folder, frames, actions, None, seed=tried, split=split)
    raise ValueError(
        f"environment {config.env!r} was over within {MIN_STEPS} actions of random play {MOST_SHORT} times in a row: "
        f"expected longer episodes; lower frame_skip ({config.frame_skip}) or sticky ({config.sticky})"
    )


def play(
    game: Game, seed: int, steps: int, sticky: float, at_work: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """At most `steps` actions: frames uint8 [T + 1, H, W, 3], actions float32 [T, columns]."""
    rng = np.random.default_rng([seed, 0x9A3E])
    frames = [game.reset(seed)]
    actions: list[np.ndarray] = []
    action, over = int(rng.integers(game.actions)), False
    while len(actions) < steps and not over:
        at_work()
        if rng.random() >= sticky:
            action = int(rng.integers(game.actions))
        frame, over = game.step(action)
        frames.append(frame)
        actions.append(game.vector(action))
    return np.stack(frames), np.stack(actions)


def _preview(output: Path, entries: list[dict[str, Any]], out_dir: Path, progress: Progress) -> None:
    """A contact sheet: frames of a few episodes."""
    rows = [np.load(output / "episodes" / e["id"] / "frames.npy", mmap_mode="r")[:16:2] for e in entries[:6]]
    save_strip(out_dir / "episodes.png", rows)
    progress.preview("episodes", out_dir / "episodes.png")
