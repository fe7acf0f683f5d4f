"""Frames a second of the simulator on one core.

    python -m worlds.blocks.bench           a table
    python -m worlds.blocks.bench --json    one JSON line a size and style

Each number is the median over windows of whole episodes' steps: physics and drawing, spread over worlds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from worlds.blocks import physics, raycast
from worlds.blocks.world import BlockWorld
from worlds.world_model.actions import A

SIZES = ((64, 64), (128, 72))
WINDOWS = 9
WINDOW_S = 0.5


def _actions(n: int) -> np.ndarray:
    """Random held keys and turns, float32 [n, A]."""
    rng = np.random.default_rng(0)
    acts = (rng.random((n, A)) < 0.3).astype(np.float32)
    acts[:, :2] = rng.uniform(-1, 1, (n, 2))
    return acts


def _windows(step: Callable[[int], object]) -> list[float]:
    """Frames a second of each window."""
    step(0)
    rates, count = [], 0
    for _ in range(WINDOWS):
        start, first = time.perf_counter(), count
        while (elapsed := time.perf_counter() - start) < WINDOW_S:
            step(count)
            count += 1
        rates.append((count - first) / elapsed)
    return rates


def measure(width: int, height: int, smooth: bool) -> dict[str, object]:
    """Median frames a second of `step` at one size, with or without antialiased outlines."""
    worlds = []
    for seed in range(8):
        world = BlockWorld(width, height)
        world.reset(seed)
        worlds.append(world)
    acts = _actions(997)

    def step(i: int) -> None:
        world, body = worlds[i % 8], worlds[i % 8]._body
        physics.step(world.blocks, body, acts[i % 997])
        eye = float(body[physics.X]), float(physics.eye_height(body)), float(body[physics.Z])
        yaw, pitch = float(body[physics.YAW_DEG]), float(body[physics.PITCH_DEG])
        raycast.render(world.volume, eye, yaw, pitch, width, height, smooth=smooth)

    rates = _windows(step)
    return {
        "name": "blocks.step",
        "width": width,
        "height": height,
        "smooth": smooth,
        "fps": round(statistics.median(rates)),
        "fps_min": round(min(rates)),
        "fps_max": round(max(rates)),
        "machine": platform.machine(),
    }


def results() -> Iterator[dict[str, object]]:
    for width, height in SIZES:
        for smooth in (False, True):
            yield measure(width, height, smooth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON line a measurement")
    as_json = parser.parse_args().json
    for row in results():
        style = "smooth" if row["smooth"] else "plain"
        print(
            json.dumps(row)
            if as_json
            else f"{row['width']}x{row['height']} {style:6} {row['fps']} fps ({row['fps_min']}..{row['fps_max']})",
            flush=True,
        )


if __name__ == "__main__":
    main()
