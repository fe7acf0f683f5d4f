"""Recipe `material.dataset`: materials, procedural or of one's own, and three views of each, in the layout of
multi_view.py."""

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
from terrarium.worlds.materials.own import own_materials
from terrarium.worlds.materials.photograph import dirty, photograph
from terrarium.worlds.materials.procedural import FAMILIES, material
from terrarium.worlds.progress import Progress, Stopped

FORMAT_VERSION = 1
TYPE = "material-dataset"


def make_dataset(config: MaterialDatasetConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Materials of one's own are checked before anything is rendered. A run that was cut short is made anew: materials
    take milliseconds."""
    own = own_materials(config.own, config.size) if config.own else []
    count = len(own) or config.materials
    folder = out_dir / "output"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    materials: dict[str, str] = {}
    poses: dict[str, np.ndarray] = {}
    for number in range(count):
        if progress.stop_requested():
            raise Stopped
        made, maps = (own[number].name, own[number].read(config.size)) if own else _procedural(config, number)
        write_outputs(folder, made, maps.numpy())
        generator = torch.Generator().manual_seed(config.seed + number)
        views, taken = photograph(maps.expand(config.samples, -1, -1, -1), generator)
        renders: dict[Kind, torch.Tensor] = {"clean": views}
        if config.dirty:
            renders["dirty"] = dirty(views, generator)
        for i in range(config.samples):
            name = f"sample_{len(materials):04d}"
            write_sample(folder, name, {kind: pictures[i].numpy() for kind, pictures in renders.items()})
            materials[name], poses[name] = made, taken[i].numpy()
        progress.step(number + 1, count, "rendering")
    write_lists(folder, materials, poses)
    facts = {"materials": count, "samples": len(materials), "size": config.size}
    kinds = ["clean", "dirty"] if config.dirty else ["clean"]
    manifest = {"format_version": FORMAT_VERSION, "kind": TYPE, **facts, "views": VIEWS, "renders": kinds}
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    return facts


def _procedural(config: MaterialDatasetConfig, number: int) -> tuple[str, torch.Tensor]:
    """Name and maps [8, S, S]."""
    family = list(FAMILIES)[number % len(FAMILIES)]
    made = material(family, config.seed + number, config.size)
    return made.name, torch.from_numpy(made.maps)
