"""The averaged weights of a run that still trains, as a checkpoint in bf16, with what they measure:

    python -m terrarium.worlds.generators.export RUN OUT

RUN is the run's folder (it holds `state/`), OUT becomes a checkpoint `generator`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from terrarium.worlds.checkpoint import load_into
from terrarium.worlds.device import default_device
from terrarium.worlds.generators.data import held_out
from terrarium.worlds.generators.kinds import KINDS
from terrarium.worlds.generators.train import HELD_OUT, measure, new_generator, save_generator
from terrarium.worlds.training.states import newest_state


def export(run: Path, out: Path) -> dict[str, float]:
    """-> the step of the newest state and what it measures on held-out structures. ValueError where there is none."""
    state = newest_state(run)
    config = KINDS["generator.train"].read(state.facts["identity"])
    generator = new_generator(config)
    load_into(generator, state.part("ema"), state.folder)
    generator = generator.to(default_device()).eval()
    found = {"step": state.facts["step"], **measure(generator, held_out(config.seed, HELD_OUT, config.size))}
    save_generator(out, generator, config, found, torch.bfloat16)
    return found


if __name__ == "__main__":
    print(json.dumps(export(Path(sys.argv[1]), Path(sys.argv[2]))))
