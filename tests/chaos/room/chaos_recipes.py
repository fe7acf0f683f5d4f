"""(config, out_dir, progress) -> result."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from chaos_kinds import TallyConfig

from terrarium.worlds.durable import new_folder
from terrarium.worlds.progress import Progress, Stopped

KEPT = 2  # newest states


def tally(config: TallyConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """`fence` among the metrics says which run has reported them: the folder of a run is named by its fence."""
    fence = int(out_dir.name) if out_dir.name.isdecimal() else 0
    states = out_dir / "state"
    step, value = newest(states) or (0, config.seed)
    if step:
        progress.resumed(step)
    while step < config.steps:
        if progress.stop_requested():
            save(states, step, value, progress)
            raise Stopped
        time.sleep(config.pause_s)
        step, value = step + 1, following(value, step)
        progress.step(step, config.steps, "count")
        progress.metrics(step, {"loss": value / 2**32, "fence": fence})
        if step % config.save_every == 0:
            save(states, step, value, progress)
    return write(out_dir, value, progress)


def following(value: int, step: int) -> int:
    """32 bits that depend on every step before."""
    return int.from_bytes(hashlib.sha256(f"{value} {step}".encode()).digest()[:4], "big")


def save(states: Path, step: int, value: int, progress: Progress) -> None:
    folder = states / f"step_{step:06d}"
    with new_folder(folder) as draft:
        text = json.dumps({"step": step, "value": value, "sha256": digest(step, value)})
        (draft / "state.json").write_text(text)
    progress.checkpoint(step, folder)
    for old in sorted(states.glob("step_*"))[:-KEPT]:
        shutil.rmtree(old)


def newest(states: Path) -> tuple[int, int] | None:
    """(step, value) of the newest state that is whole."""
    for folder in sorted(states.glob("step_*"), reverse=True):
        try:
            state = json.loads((folder / "state.json").read_text())
            if state["sha256"] == digest(state["step"], state["value"]):
                return state["step"], state["value"]
        except (OSError, ValueError, KeyError):
            continue
    return None


def digest(step: int, value: int) -> str:
    return hashlib.sha256(f"{step}:{value}".encode()).hexdigest()


def write(out_dir: Path, value: int, progress: Progress) -> dict[str, Any]:
    output = out_dir / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "value.json").write_text(json.dumps({"value": value}))
    (output / "manifest.json").write_text(json.dumps({"kind": "tally", "value": value}))
    progress.file(output / "value.json", "what the count came to")
    return {"value": value}
