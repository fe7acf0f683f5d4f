"""The averaged weights of a run that still trains, as a checkpoint in bf16, with what they measure:

    python -m terrarium.worlds.voxels.prior.export RUN OUT

RUN is the run's folder (it holds `state/`), OUT becomes a checkpoint `voxel-prior`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter

from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.checkpoint import load_into
from terrarium.worlds.device import default_device
from terrarium.worlds.training.states import newest_state
from terrarium.worlds.voxels.kinds import PriorConfig
from terrarium.worlds.voxels.prior.data import shown
from terrarium.worlds.voxels.prior.model import Prior
from terrarium.worlds.voxels.prior.recipe import measure, save_prior


def export(run: Path, out: Path) -> dict[str, float]:
    """-> the step of the newest state and what it measures on held-out structures. ValueError where there is none."""
    state = newest_state(run)
    config = TypeAdapter(PriorConfig).validate_python(state.facts["identity"])
    prior = Prior(vocabulary(), config.channels, config.text)
    load_into(prior, state.part("ema"), state.folder)
    prior = prior.to(default_device()).eval()
    held_out = [shown(np.random.default_rng([config.seed, i]), "held_out", whole=True) for i in range(128)]
    found = {"step": state.facts["step"], **measure(prior, held_out)}
    save_prior(out, prior, config, found, torch.bfloat16)
    return found


if __name__ == "__main__":
    print(json.dumps(export(Path(sys.argv[1]), Path(sys.argv[2]))))
