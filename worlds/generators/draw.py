"""Recipe `world.sample`: a block world from words in one forward sampling."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.map_json import BlockMap
from terrarium.worlds.checkpoint import read_manifest
from terrarium.worlds.generators.codes import check_types
from terrarium.worlds.generators.dream import dream
from terrarium.worlds.generators.kinds import SampleConfig
from terrarium.worlds.generators.model import KIND, load_generator, shipped_generator
from terrarium.worlds.generators.pareto import load_measured, put_on
from terrarium.worlds.generators.samplers import Plan
from terrarium.worlds.progress import Progress, go_on
from terrarium.worlds.voxels.export import export_world, table_of
from terrarium.worlds.voxels.world import open_world


def draw_world(config: SampleConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    folder = Path(config.generator) if config.generator else shipped_generator()
    if config.adapter is None:
        generator, manifest = load_measured(folder, config.measurement)
    else:
        generator, manifest = load_generator(folder)
        put_on(generator, manifest["sha256"], Path(config.adapter), config.measurement)
    generator.captions.numbers(config.negative_prompt)
    generator.captions.numbers(config.prompt)
    blocks, known = canvas(config, generator.size)
    plan = Plan(
        seeds=(config.seed,),
        sampler=config.sampler,
        steps=config.steps,
        cfg=config.cfg,
        eta=config.eta,
        negative=config.negative_prompt,
    )
    started = time.monotonic()
    made = dream(generator, config.prompt, plan, blocks, known, lambda done, of: go_on(progress, done, of, "sampling"))
    seconds = round(time.monotonic() - started, 3)
    facts = {"generator": manifest["sha256"], "prompts": [config.prompt], "seed": config.seed, "steps": config.steps}
    if config.measurement is not None:
        facts["measurement"] = config.measurement
    if config.adapter is not None:
        facts["adapter"] = read_manifest(Path(config.adapter), KIND)["sha256"]
    result = {"table": table_of(made), "blocks": int((made > 0).sum()), "seconds": seconds}
    export_world(out_dir, BlockMap(made, seed=config.seed), {"made": facts}, progress)
    return result


def canvas(config: SampleConfig, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What the world holds before it is dreamed, and which of it stays; uint8 and bool [X, size, Z].

    A start world lies in the middle of a larger one. ValueError where it does not fit.
    """
    if config.start is None:
        side = config.size or size
        if side < size:
            raise ValueError(f"size {side}: expected at least the generator's {size}")
        return np.zeros((side, size, side), np.uint8), np.zeros((side, size, side), bool)
    start = open_world(config.start).blocks
    check_types(start)
    nx, ny, nz = start.shape
    wide, deep = config.size or nx, config.size or nz
    if ny != size or not (wide >= nx and deep >= nz and min(wide, deep) >= size):
        raise ValueError(
            f"start {config.start} has {[nx, ny, nz]} blocks for a world of {[wide, size, deep]}: "
            f"expected {size} high, and not larger than `size`, which is at least {size}"
        )
    stays = np.ones(start.shape, bool)
    if config.dream:
        x0, y0, z0, x1, y1, z1 = config.dream
        if x1 > nx or y1 > ny or z1 > nz:
            raise ValueError(f"dream {list(config.dream)} reaches beyond the {[nx, ny, nz]} blocks of {config.start}")
        stays[x0:x1, y0:y1, z0:z1] = False
    x, z = (wide - nx) // 2, (deep - nz) // 2
    blocks, known = np.zeros((wide, size, deep), np.uint8), np.zeros((wide, size, deep), bool)
    blocks[x : x + nx, :, z : z + nz], known[x : x + nx, :, z : z + nz] = start, stays
    if known.all():
        raise ValueError(f"start {config.start} has nothing to dream: expected `dream`, or a larger `size`")
    return blocks, known
