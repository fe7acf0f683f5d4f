"""Small assets that were made elsewhere, and zips of them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from terrarium.store.places import shipped_folder
from terrarium.worlds.blocks.map_json import BlockMap, write_map
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.episodes.format import write_episode, write_manifest
from terrarium.worlds.voxels.manifest import describe_world


def make_dataset(folder: Path, seed: int = 0) -> Path:
    """Two episodes of noise."""
    random = np.random.default_rng(seed)
    episodes = []
    for i, split in enumerate(("train", "val")):
        frames = random.integers(0, 255, (5, 8, 8, 3), np.uint8)
        actions = np.zeros((4, 9), np.float32)
        pose = np.zeros((5, 5), np.float32)
        episode = folder / "episodes" / f"{i:06d}"
        episodes.append(write_episode(episode, frames, actions, pose, seed=i, split=split))
    write_manifest(folder, fps=20.0, frame_size=(8, 8), source={"kind": "blocks"}, episodes=episodes)
    return folder


def make_world_model(folder: Path) -> Path:
    """The shipped one."""
    return shutil.copytree(shipped_folder(), folder)


def make_tokenizer(folder: Path) -> Path:
    """That of the shipped world model."""
    from terrarium.worlds.checkpoint import load_checkpoint, save_checkpoint

    tensors, manifest = load_checkpoint(shipped_folder(), "world-model")
    eye = {name.removeprefix("tokenizer."): t for name, t in tensors.items() if name.startswith("tokenizer.")}
    save_checkpoint(folder, "tokenizer", eye, {key: manifest[key] for key in ("tokenizer", "data")})
    return folder


def make_world(folder: Path, seed: int = 0) -> Path:
    """A small built thing."""
    folder.mkdir(parents=True)
    write_map(folder / "map.json", BlockMap(structure(seed).blocks))
    describe_world(folder)
    return folder


def make_capture(folder: Path, seed: int = 0) -> Path:
    """Two small pictures of a small built thing, with depth and normals."""
    from terrarium.worlds.voxels.capture import write_capture
    from terrarium.worlds.voxels.guidance.target import take

    write_capture(folder, take(structure(seed).blocks, 2, 16), (16, 16, 16))
    return folder


def make_textures(folder: Path, seed: int = 0) -> Path:
    """Two small ones in MatSynth's layout."""
    from terrarium.worlds.materials.procedural import material
    from terrarium.worlds.materials.texture.dataset import write_clean
    from terrarium.worlds.materials.texture.manifest import describe_textures

    folder.mkdir(parents=True)
    for family in ("brick", "marble"):
        write_clean(folder / family, material(family, seed, 32))
    describe_textures(folder)
    return folder


MAKE = {
    "dataset": make_dataset,
    "block-world": make_world,
    "capture-set": make_capture,
    "texture-set": make_textures,
    "tokenizer": make_tokenizer,
    "world-model": make_world_model,
}


def zipped(folder: Path, top: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, f"{top}{file.relative_to(folder)}")
    return buffer.getvalue()


def change_manifest(folder: Path, **fields: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
