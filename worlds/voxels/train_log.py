"""train.jsonl: a run's figures as lines, beside what is reported. A resumed run drops the lines that it repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from terrarium.worlds.progress import Part, Progress

GRID = ("num_active", "occupancy_mean", "occupancy_std")
LOSSES = {"loss": "total", "sds": "sds", "sparsity": "sparsity", "entropy": "entropy"}
LOSSES |= {"smooth": "smooth", "connectivity": "connectivity"}


class TrainLog(Part):
    """The whole run as its own part, whose metrics are written as well."""

    def __init__(self, progress: Progress, path: Path) -> None:
        super().__init__(progress, before=0, total=0)
        self.path = path

    def step(self, step: int, total: int, phase: str = "") -> None:
        self.progress.step(step, total, phase)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        super().metrics(step, values)
        if "loss" not in values:
            return  # a validation
        line = {
            "step": step,
            "temperature": values["temperature"],
            "camera_index": int(values["camera_index"]),
            "losses": {name: values[key] for key, name in LOSSES.items()},
            "grid_stats": {name: values[name] for name in GRID},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def resumed(self, step: int) -> None:
        super().resumed(step)
        lines = self.path.read_text().splitlines(keepends=True) if self.path.is_file() else []
        whole = [line for line in lines if line.endswith("\n")]
        self.path.write_text("".join(line for line in whole if json.loads(line)["step"] <= step))
