"""A model of the staged plan for inference: its adapters merged, in bf16, without the places of what it was made from:

python -m terrarium.worlds.materials.texture.export CHECKPOINT OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from terrarium.worlds.materials.texture.kinds import KINDS
from terrarium.worlds.materials.texture.model import load_model, save_model
from terrarium.worlds.training import lora

OWN = ("format_version", "kind", "sha256", "model", "rank")  # of a manifest, which saving writes anew


def export(folder: Path, out: Path) -> dict[str, Any]:
    """-> the phases that it went through."""
    model, manifest = load_model(folder)
    lora.merge(model)
    model.rank = 0
    facts = {name: value for name, value in manifest.items() if name not in OWN}
    inputs = KINDS["texture.train"].inputs
    facts["config"] = {name: value for name, value in facts["config"].items() if name not in inputs}
    save_model(out, model, {name: x.to(torch.bfloat16) for name, x in model.state_dict().items()}, facts)
    return {"phases": [one["checkpoint"] for one in manifest["phases"]]}


if __name__ == "__main__":
    print(json.dumps(export(Path(sys.argv[1]), Path(sys.argv[2]))))
