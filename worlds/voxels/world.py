"""Block worlds as jobs open them: the folder of an asset, or a map.json by itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from terrarium.worlds.blocks.map_json import BlockMap, read_map
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.manifest import check_world
from terrarium.worlds.voxels.metadata import read_metadata, size_of


def open_world(path: str | Path) -> BlockMap:
    """ValueError says what is wrong, naming the block where it is one."""
    path = Path(path)
    if path.is_dir():
        check_world(path)
        path = path / "map.json"
    elif not path.is_file():
        raise ValueError(f"{path} is not there: expected a map.json, or the folder of a block world")
    return read_map(path)


def shape_of(path: str | Path) -> Shape | None:
    """Blocks along x, y and z; None of a capture set that does not say."""
    if is_capture(path):
        said = size_of(read_metadata(Path(path)))
        return None if said is None else (said[0], said[1], said[2])
    nx, ny, nz = open_world(path).blocks.shape
    return nx, ny, nz


def is_capture(path: str | Path) -> bool:
    return (Path(path) / "metadata.json").is_file()


def content_sha256(path: str | Path) -> str:
    """Of a world's map, or of a capture set's files: what a run depends on."""
    path, digest = Path(path), hashlib.sha256()
    files = sorted(path.rglob("*.png")) + [path / "metadata.json"] if is_capture(path) else [path]
    for file in (file / "map.json" if file.is_dir() else file for file in files):
        digest.update(file.read_bytes())
    return digest.hexdigest()
