"""map.json: a block world as a file; what is read is written back exactly. `pack` is the short form in manifests.

Blocks are ordered by y, then z, then x (x innermost); Air is left out. A user's mistake raises `ValueError`
(worlds/blocks/map_entries.py).
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.map_entries import Coat, coats_of, entries_of, is_coat, sides
from terrarium.worlds.blocks.palette import AIR, NAMES


@dataclass(frozen=True, eq=False)
class BlockMap:
    """A map: `blocks` uint8 [X, Y, Z] of palette ids, `world_scale` in world units a block."""

    blocks: np.ndarray
    world_scale: float = 2
    seed: int = 0
    sequence: int = 1
    last_updated: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    capture_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    custom_blocks: tuple[Any, ...] = ()


def to_json(block_map: BlockMap) -> dict[str, Any]:
    """The map as the dict that map.json holds."""
    nx, ny, nz = block_map.blocks.shape
    by_yzx = block_map.blocks.transpose(1, 2, 0)
    ys, zs, xs = np.nonzero(by_yzx != AIR)
    ids = by_yzx[ys, zs, xs]
    return {
        "sequence": block_map.sequence,
        "lastUpdated": block_map.last_updated,
        "captureId": block_map.capture_id,
        "worldScale": block_map.world_scale,
        "worldConfig": {
            "seed": block_map.seed,
            "dimensions": {"x": nx, "y": ny, "z": nz},
            "worldScale": block_map.world_scale,
        },
        "blocks": [
            {"position": [x, y, z], "blockType": NAMES[i]}
            for x, y, z, i in zip(xs.tolist(), ys.tolist(), zs.tolist(), ids.tolist(), strict=True)
        ],
        "customBlocks": list(block_map.custom_blocks),
    }


def from_json(data: Any) -> BlockMap:
    """The map of a parsed map.json."""
    entries = entries_of(data)
    blocks = np.zeros(entries.shape, np.uint8)
    if entries.places:
        xs, ys, zs = np.array(list(entries.places)).T
        blocks[xs, ys, zs] = list(entries.places.values())
    given = {"sequence": "sequence", "lastUpdated": "last_updated", "captureId": "capture_id"}
    known = {ours: data[theirs] for theirs, ours in given.items() if theirs in data}
    seed = data["worldConfig"].get("seed", 0)
    return BlockMap(blocks, entries.world_scale, seed, custom_blocks=tuple(entries.custom), **known)


def read_map(path: str | Path) -> BlockMap:
    """Read a map.json; a bad one raises ValueError that names the file and the place."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    try:
        return from_json(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write_map(path: str | Path, block_map: BlockMap) -> None:
    """Write a map.json."""
    Path(path).write_text(json.dumps(to_json(block_map)), encoding="utf-8")


def pack(blocks: np.ndarray, custom_blocks: Sequence[Any] = ()) -> dict[str, Any]:
    """Block ids uint8 [X, Y, Z], and what types wear, as JSON: a few kilobytes, and 12 for each coat. For a manifest
    that must bring its world along."""
    coats = [entry for entry in custom_blocks if is_coat(entry)]
    packed = {"shape": list(blocks.shape), "zlib": base64.b64encode(zlib.compress(blocks.tobytes(), 9)).decode()}
    return packed | ({"coats": coats} if coats else {})


def unpack(packed: Mapping[str, Any]) -> tuple[np.ndarray, dict[int, Coat]]:
    """The blocks of `pack`, and {palette id: what it wears}. ValueError where it is not one."""
    try:
        shape = sides(packed["shape"], "shape")
        data = zlib.decompressobj().decompress(base64.b64decode(packed["zlib"], validate=True), prod(shape) + 1)
        return np.frombuffer(data, np.uint8).reshape(shape).copy(), coats_of(packed.get("coats", ()))
    except (KeyError, TypeError, ValueError, zlib.error) as e:
        raise ValueError(f"not a packed map: {e}") from None
