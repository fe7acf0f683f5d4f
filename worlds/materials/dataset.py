"""Recipe `material.dataset`: procedural materials and three views of each, in the layout of multi_view.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.durable import write_text
from terrarium.worlds.materials.checks import VIEWS
from terrarium.worlds.materials.kinds import MaterialDatasetConfig
from terrarium.worlds.materials.multi_view import Kind, write_lists, write_outputs, write_sample
from terrarium.worlds.materials.photograph import dirty, photograph
from terrarium.worlds.materials.procedural import FAMILIES, material
from terrarium.worlds.progress import Progress, Stopped

FORMAT_VERSION = 1
TYPE = "material-dataset"


def make_dataset(config: MaterialDatasetConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """A run that was cut short is made anew: materials take milliseconds."""
    folder = out_dir / "output"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    materials: dict[str, str] = {}
    poses: dict[str, np.ndarray] = {}
    for number in range(config.materials):
        if progress.stop_requested():
            raise Stopped
        family = list(FAMILIES)[number % len(FAMILIES)]
        made = material(family, config.seed + number, config.size)
        write_outputs(folder, made.name, made.maps)
        generator = torch.Generator().manual_seed(config.seed + number)
        maps = torch.from_numpy(made.maps).expand(config.samples, -1, -1, -1)
        views, taken = photograph(maps, generator)
        renders: dict[Kind, torch.Tensor] = {"clean": views}
        if config.dirty:
            renders["dirty"] = dirty(views, generator)
        for i in range(config.samples):
            name = f"sample_{len(materials):04d}"
            write_sample(folder, name, {kind: pictures[i].numpy() for kind, pictures in renders.items()})
            materials[name], poses[name] = made.name, taken[i].numpy()
        progress.step(number + 1, config.materials, "rendering")
    write_lists(folder, materials, poses)
    facts = {"materials": config.materials, "samples": len(materials), "size": config.size}
    kinds = ["clean", "dirty"] if config.dirty else ["clean"]
    manifest = {"format_version": FORMAT_VERSION, "kind": TYPE, **facts, "views": VIEWS, "renders": kinds}
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    return facts
