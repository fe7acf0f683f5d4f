"""The averaged weights of a run that still trains, as a checkpoint in bf16:

    python -m terrarium.worlds.materials.export RUN OUT

RUN is the run's folder (it holds `state/`), OUT becomes a checkpoint `material-model`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path

import torch

from terrarium.worlds.checkpoint import load_checkpoint, load_into
from terrarium.worlds.device import default_device
from terrarium.worlds.materials.kinds import KINDS, MaterialTrainConfig
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.train import data_of, measure, save_model, shape_of


def export(run: Path, out: Path) -> dict[str, float]:
    """-> the step of the newest state, and what it measures on held-out materials. ValueError where there is none."""
    states = sorted((run / "state").glob("step_*[0-9]"))
    if not states:
        raise ValueError(f"{run} has no training state: expected state/step_* in it")
    tensors, facts = load_checkpoint(states[-1], "training-state")
    names = {field.name for field in fields(MaterialTrainConfig)}
    told = facts["identity"] | {"data": facts["identity"].get("data")}
    config = KINDS["material.train"].read({k: v for k, v in told.items() if k in names})
    model = MaterialNet(**shape_of(config))
    load_into(model, {k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")}, states[-1])
    model = model.to(default_device()).eval()
    _, examples, split = data_of(config)
    found = {"step": facts["step"], **measure(model, examples)}
    save_model(out, model, config, {"split": split, "quality": found, "steps": facts["step"]}, torch.bfloat16)
    return found


if __name__ == "__main__":
    print(json.dumps(export(Path(sys.argv[1]), Path(sys.argv[2]))))
