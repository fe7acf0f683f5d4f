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

from terrarium.worlds.checkpoint import load_into
from terrarium.worlds.device import default_device
from terrarium.worlds.materials.kinds import KINDS, MaterialTrainConfig
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.train import data_of, measure, save_model, shape_of
from terrarium.worlds.training.states import newest_state


def export(run: Path, out: Path) -> dict[str, float]:
    """-> the step of the newest state, and what it measures on held-out materials. ValueError where there is none."""
    state = newest_state(run)
    names = {field.name for field in fields(MaterialTrainConfig)}
    told = state.facts["identity"] | {"data": state.facts["identity"].get("data")}
    config = KINDS["material.train"].read({k: v for k, v in told.items() if k in names})
    model = MaterialNet(**shape_of(config))
    load_into(model, state.part("ema"), state.folder)
    model = model.to(default_device()).eval()
    _, examples, split = data_of(config)
    found = {"step": state.facts["step"], **measure(model, examples)}
    save_model(out, model, config, {"split": split, "quality": found, "steps": state.facts["step"]}, torch.bfloat16)
    return found


if __name__ == "__main__":
    print(json.dumps(export(Path(sys.argv[1]), Path(sys.argv[2]))))
