"""Coarse to fine against the full size alone: processor seconds until the exported blocks reach an IoU.

python -m terrarium.worlds.voxels.bench.coarse --seeds 101,102,103          a JSON line a run
python -m terrarium.worlds.voxels.bench.coarse --seeds 101 --size 16 --coarse-steps 20 --steps 40
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from terrarium.worlds.blocks.map_json import BlockMap, write_map
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Silent
from terrarium.worlds.voxels.kinds import generate_rebuild

LEVELS = (0.8, 0.9, 0.95, 0.98, 0.99)  # of IoU on seen voxels


class Clock(Silent):
    """When which IoU was reached for the first time, in processor seconds."""

    def __init__(self) -> None:
        self.started, self.reached = time.process_time(), dict[float, float]()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        for level in LEVELS:
            if values.get("iou", 0.0) >= level:
                self.reached.setdefault(level, round(time.process_time() - self.started, 1))


def measured(seed: int, size: int, coarse_steps: int, steps: int) -> dict[str, Any]:
    """The structure of a seed rebuilt at `size`, after `coarse_steps` at half of it unless those are 0."""
    clock = Clock()
    coarse: dict[str, Any] = {"coarse": (2,), "coarse_steps": (coarse_steps,)} if coarse_steps else {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "map.json"
        write_map(file, BlockMap(structure(seed, size).blocks))
        config = replace(generate_rebuild(str(file)), size=size, steps=steps, image_every=20, **coarse)
        found = kinds()[config.kind].run(config, Path(folder) / "run", clock)
    return {
        "seed": seed,
        "size": size,
        "coarse_steps": coarse_steps,
        "steps": steps,
        "processor_s": round(time.process_time() - clock.started, 1),
        **{f"s_to_{level}": clock.reached.get(level) for level in LEVELS},
        **{name: round(found[name], 4) for name in ("iou", "iou_full", "hard_psnr", "material_accuracy")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="coarse to fine against the full size alone")
    parser.add_argument("--seeds", default="101", help="of captioned structures, with commas between")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--coarse-steps", type=int, default=150, help="at half the size, before those at full size")
    parser.add_argument("--steps", type=int, default=400, help="at full size, with and without a coarse stage")
    given = parser.parse_args()
    for seed in map(int, given.seeds.split(",")):
        for coarse_steps in (0, given.coarse_steps):
            print(json.dumps(measured(seed, given.size, coarse_steps, given.steps)), flush=True)


if __name__ == "__main__":
    main()
