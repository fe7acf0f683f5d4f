"""Recipe `dataset.record`: random walks in the block world -> a dataset."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.map_json import pack, read_map
from terrarium.worlds.blocks.terrain import KINDS
from terrarium.worlds.blocks.walk import walk
from terrarium.worlds.blocks.world import BlockWorld, world_of
from terrarium.worlds.episodes.format import finished_episode, write_episode, write_manifest
from terrarium.worlds.episodes.kinds import RecordConfig
from terrarium.worlds.progress import Progress, Stopped

FPS = 20.0  # a frame is the simulator's unit of time; this is the pace at which it looks natural


def record_dataset(config: RecordConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Intact episodes of an interrupted run are kept."""
    output = out_dir / "output"
    source = _source(config)
    world = world_of(source, config.width, config.height)
    first_val = config.episodes - round(config.episodes * config.val_fraction)
    entries: list[dict[str, Any]] = []
    started = time.monotonic()
    for i in range(config.episodes):
        if progress.stop_requested():
            raise Stopped
        entries.append(_record_one(world, config, output, i, "train" if i < first_val else "val"))
        progress.step(i + 1, config.episodes, "record")
    frames = sum(e["length"] for e in entries)
    write_manifest(
        output,
        fps=FPS,
        frame_size=(config.height, config.width),
        source=source,
        episodes=entries,
    )
    _preview(output, entries, out_dir, progress)
    seconds = time.monotonic() - started
    return {
        "episodes": len(entries),
        "frames": frames,
        "seconds": round(seconds, 2),
        "fps_recorded": round(frames / seconds, 1),
    }


def _source(config: RecordConfig) -> dict[str, Any]:
    source = block_source(config.map or config.world, config.structures)
    named = {"map": source["terrain"]} if config.map else {"world": source["terrain"]}  # no path of this machine
    return source | {"config": asdict(config) | named}


def block_source(world: str, structures: int = 0) -> dict[str, Any]:
    """Where walks take place, so that it can be had again: a terrain by name, with so many structures on it, or a map
    as it is, not its path: of a map.json, or of a block world's folder.

    ValueError where it is none of these.
    """
    if world in KINDS:
        return {"kind": "blocks", "terrain": world} | ({"structures": structures} if structures else {})
    if structures:
        raise ValueError(f"structures {structures} in the map {world!r}: expected a terrain to build them on")
    file = Path(world) / "map.json" if Path(world).is_dir() else Path(world)
    if file.suffix != ".json":
        raise ValueError(f"world {world!r}: expected one of {', '.join(KINDS)}, or the path of a map.json")
    found = read_map(file)
    return {"kind": "blocks", "terrain": Path(world).name, "map": pack(found.blocks, found.custom_blocks)}


def _record_one(world: BlockWorld, config: RecordConfig, output: Path, i: int, split: str) -> dict[str, Any]:
    folder = output / "episodes" / f"{i:06d}"
    done = finished_episode(folder)
    if done is not None:
        return done
    frames, actions, pose = walk(world, config.seed + i, config.steps)
    return write_episode(folder, frames, actions, pose, seed=config.seed + i, split=split)


def _preview(output: Path, entries: list[dict[str, Any]], out_dir: Path, progress: Progress) -> None:
    """A contact sheet: the first frames of a few episodes, eight frames apart."""
    from terrarium.worlds.pictures.metrics import save_strip

    rows = [np.load(output / "episodes" / e["id"] / "frames.npy", mmap_mode="r")[:64:8] for e in entries[:6]]
    n = min(len(r) for r in rows)
    save_strip(out_dir / "episodes.png", [r[:n] for r in rows])
    progress.preview("episodes", out_dir / "episodes.png")
