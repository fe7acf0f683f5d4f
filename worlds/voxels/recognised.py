"""How far worlds made from words can be recognised: a network names the class of what was exported, and its materials
are held against those of the structure for which the caption was written.

    python -m terrarium.worlds.voxels.recognised OUT --prior FOLDER [--seeds 3] [--steps 300]

makes a world for each caption and seed by the job's own recipe, and two to compare with: the init alone, and the world
that guidance `target` makes of the structure for which the caption was written (the ceiling). Captions are of held-out
combinations. Writes OUT/recognised.json and OUT/sheet.png; a world that is there already is not made again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from terrarium.worlds.blocks.map_json import BlockMap, read_map, write_map
from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.blocks.structures.source import FIRST, Structure, structure
from terrarium.worlds.progress import Silent
from terrarium.worlds.voxels.generate import generate
from terrarium.worlds.voxels.grid import INITS
from terrarium.worlds.voxels.judge import NAMES, Judge, load_judge, shipped_judge
from terrarium.worlds.voxels.kinds import GenerateConfig, generate_words
from terrarium.worlds.voxels.prior.data import picture

CLASSES = tuple(name for name in FIRST if name not in ("hut", "gate", "ruin", "well"))
SIZE = 16
STRUCTURE_SEED = 9000  # of the structures whose captions are asked for; settings were chosen on others
EMPTY = np.zeros((SIZE, SIZE, SIZE), np.uint8)
ANGLES = ((30.0, 25.0), (210.0, 25.0))  # from which the sheet shows a world


def evaluate(
    prior: str | None, out: Path, seeds: int, steps: int | None, structure_seed: int = STRUCTURE_SEED
) -> dict[str, Any]:
    judge = load_judge(shipped_judge())
    every = [structure(structure_seed + i, SIZE, name=name, split="held_out") for i, name in enumerate(CLASSES)]
    rows: list[dict[str, Any]] = []
    for seed, wanted in product(range(seeds), every):
        words = replace(generate_words(), prompts=(wanted.caption,), prior=prior, size=SIZE, seed=seed)
        words = words if steps is None else replace(words, steps=steps)
        init = INITS[words.init]((SIZE, SIZE, SIZE), torch.Generator().manual_seed(seed)).blocks()
        rows.append(row(judge, wanted, "init", seed, init, 0.0))
        rows.append(row(judge, wanted, "blocks", seed, *made(words, out / wanted.name / f"words_{seed}")))
        write_report(out, rows, every)
    for wanted in every:
        file = out / wanted.name / "wanted.json"
        if not file.is_file():  # a map is dated, and the job's state knows its target by its content
            write_map(file, BlockMap(wanted.blocks))
        target = GenerateConfig(target=str(file), size=SIZE, image=64)
        rows.append(row(judge, wanted, "target", 0, *made(target, out / wanted.name / "target")))
        write_report(out, rows, every)
    return summary(rows)


def write_report(out: Path, rows: list[dict[str, Any]], every: Sequence[Structure]) -> None:
    """The figures so far, and a sheet with a row a class: the structure itself, what was made of its caption with each
    seed, and what guidance `target` made, each from two sides."""
    (out / "recognised.json").write_text(json.dumps({**summary(rows), "worlds": rows}, indent=1))
    sheet = []
    columns = [f"words_{seed}" for seed in sorted({each["seed"] for each in rows})] + ["target"]
    for wanted in every:
        maps = [out / wanted.name / column / "output" / "map.json" for column in columns]
        worlds = [wanted.blocks, *(read_map(file).blocks if file.is_file() else EMPTY for file in maps)]
        sheet.append(np.concatenate([picture(blocks, *angles) for blocks in worlds for angles in ANGLES], axis=1))
    image = Image.fromarray(np.concatenate(sheet))
    image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST).save(out / "sheet.png")


def made(config: GenerateConfig, folder: Path) -> tuple[np.ndarray, float]:
    """-> the exported blocks, and the seconds that the whole job took."""
    if not (folder / "seconds.json").is_file():
        seconds = generate(config, folder, Silent())["seconds"]
        (folder / "seconds.json").write_text(json.dumps(seconds))
    return read_map(folder / "output" / "map.json").blocks, json.loads((folder / "seconds.json").read_text())


def row(judge: Judge, wanted: Structure, how: str, seed: int, blocks: np.ndarray, seconds: float) -> dict[str, Any]:
    probabilities = judge.probabilities(blocks)
    named = NAMES[int(probabilities.argmax())]
    right = round(float(probabilities[NAMES.index(wanted.name)]), 4)
    alike = float(np.minimum(faces_by_type(blocks), faces_by_type(wanted.blocks)).sum())
    facts = {"caption": wanted.caption, "class": wanted.name, "by": how, "seed": seed, "named": named}
    facts |= {"probability": right, "materials": round(alike, 4)}
    return facts | {"solid": int((blocks > 0).sum()), "seconds": seconds}


def faces_by_type(blocks: np.ndarray) -> np.ndarray:
    """Share of each type among the faces that touch air, the ground's (y = 0) left out: of what a person sees."""
    wide = np.pad(blocks, 1, constant_values=AIR)
    counted = np.zeros(256)
    for axis in range(3):
        for shift in (-1, 1):
            bare = np.roll(wide, shift, axis)[1:-1, 1:-1, 1:-1] == AIR
            counted += np.bincount(blocks[:, 1:][bare[:, 1:]], minlength=256)
    counted[AIR] = 0
    return counted / max(1.0, counted.sum())


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """{by: share of the worlds whose class is named, how far their materials are those asked for (1: the same share of
    faces of each type), and seconds a world}."""
    found: dict[str, Any] = {}
    for how in ("init", "blocks", "target"):
        own = [each for each in rows if each["by"] == how]
        if not own:
            continue
        named = [each["named"] == each["class"] for each in own]
        seconds = [each["seconds"] for each in own]
        found[how] = {
            "worlds": len(own),
            "named": round(float(np.mean(named)), 4),
            "materials": round(float(np.mean([each["materials"] for each in own])), 4),
            "seconds_median": round(float(np.median(seconds)), 1),
            "seconds_most": round(float(np.max(seconds)), 1),
        }
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prior", help="folder of a voxel-prior; if omitted, the shipped one")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of each world; if omitted, the preset's")
    parser.add_argument("--structure-seed", type=int, default=STRUCTURE_SEED, help="of the captions")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(evaluate(asked.prior, asked.out, asked.seeds, asked.steps, asked.structure_seed), indent=1))
