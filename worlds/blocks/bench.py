"""Frames a second of the simulator on one core.

    python -m terrarium.worlds.blocks.bench           a table
    python -m terrarium.worlds.blocks.bench --json    one JSON line a measurement

Each number is the median over windows of steps (physics and picture), spread over eight worlds. Time is the
thread's own, so that a busy machine is not counted as a slow one.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from terrarium.worlds.blocks.actions import A
from terrarium.worlds.blocks.world import BlockWorld

SIZES = ((64, 64), (128, 72))
WORLDS = 8
WINDOWS = 9
WINDOW_S = 0.5


@dataclass(frozen=True)
class Speed:
    """Frames a second of `BlockWorld.step`; `smooth` is with antialiased outlines, as recorded and played."""

    width: int
    height: int
    smooth: bool
    fps: int
    fps_min: int
    fps_max: int
    machine: str


def _actions(n: int) -> np.ndarray:
    """Random held keys and turns, float32 [n, A]."""
    rng = np.random.default_rng(0)
    acts = (rng.random((n, A)) < 0.3).astype(np.float32)
    acts[:, :2] = rng.uniform(-1, 1, (n, 2))
    return acts


def measure(width: int, height: int, smooth: bool, window_s: float = WINDOW_S) -> Speed:
    """Speed of one size and style."""
    worlds = [BlockWorld(width, height, smooth=smooth) for _ in range(WORLDS)]
    for seed, world in enumerate(worlds):
        world.reset(seed)
    acts = _actions(997)
    rates, count = [], 0
    worlds[0].step(acts[0])  # compiled before the clock starts
    for _ in range(WINDOWS):
        start, first = time.thread_time(), count
        while (elapsed := time.thread_time() - start) < window_s:
            worlds[count % WORLDS].step(acts[count % 997])
            count += 1
        rates.append((count - first) / elapsed)
    fps = [round(f(rates)) for f in (statistics.median, min, max)]
    return Speed(width, height, smooth, fps[0], fps[1], fps[2], platform.machine())


def results() -> Iterator[Speed]:
    for width, height in SIZES:
        for smooth in (False, True):
            yield measure(width, height, smooth)


def main() -> None:
    parser = argparse.ArgumentParser(description="frames a second of the block world on one core")
    parser.add_argument("--json", action="store_true", help="one JSON line a measurement")
    as_json = parser.parse_args().json
    for speed in results():
        if as_json:
            print(json.dumps(asdict(speed)), flush=True)
        else:
            style = "smooth" if speed.smooth else "plain "
            spread = f"{speed.fps_min}..{speed.fps_max}"
            print(f"{speed.width}x{speed.height} {style} {speed.fps} frames/s ({spread})", flush=True)


if __name__ == "__main__":
    main()
