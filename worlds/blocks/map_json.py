"""map.json: a block world as a file; what is read is written back exactly. `pack` is the short form in manifests.

Blocks are ordered by y, then z, then x (x innermost); Air is left out. A user's mistake raises `ValueError`
with the block's index, position and type, and what was expected.
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.palette import AIR, ID, NAMES

MAX_SIDE = 1024  # blocks along one axis
MAX_BLOCKS = 2**26  # places in a map, air included


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


def _get(holder: Mapping[str, Any], key: str, where: str) -> Any:
    if not isinstance(holder, Mapping):
        raise ValueError(f"{where}: expected an object, got {type(holder).__name__}")
    if key not in holder:
        raise ValueError(f"{where} lacks the key {key!r}")
    return holder[key]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shape(config: Mapping[str, Any]) -> tuple[int, int, int]:
    dimensions = _get(config, "dimensions", "worldConfig")
    return _sides([_get(dimensions, axis, "worldConfig.dimensions") for axis in "xyz"], "worldConfig.dimensions")


def _sides(sides: list[Any], where: str) -> tuple[int, int, int]:
    for axis, side in zip("xyz", sides, strict=True):
        if not _is_int(side) or not 1 <= side <= MAX_SIDE:
            raise ValueError(f"{where}.{axis} is {side!r}: expected an integer in 1..{MAX_SIDE}")
    if prod(sides) > MAX_BLOCKS:
        raise ValueError(f"{where} are {sides}: expected at most {MAX_BLOCKS} places in all")
    return sides[0], sides[1], sides[2]


def _place(blocks: np.ndarray, index: int, entry: Any) -> None:
    """Put one entry of `blocks` in its place."""
    position = _get(entry, "position", f"block {index}")
    kind = _get(entry, "blockType", f"block {index} at {position!r}")
    where = f"block {index} at {position!r} of type {kind!r}"
    if not isinstance(kind, str) or kind not in ID:
        raise ValueError(f"{where}: unknown type, expected one of {', '.join(NAMES)}")
    if not isinstance(position, list | tuple) or len(position) != 3 or not all(map(_is_int, position)):
        raise ValueError(f"{where}: expected a position of three integers [x, y, z]")
    for axis, at, side in zip("xyz", position, blocks.shape, strict=True):
        if not 0 <= at < side:
            raise ValueError(f"{where}: {axis} is out of bounds, expected 0..{side - 1}")
    if blocks[tuple(position)] != AIR:
        raise ValueError(f"{where}: duplicate, {NAMES[blocks[tuple(position)]]} is already there")
    blocks[tuple(position)] = ID[kind]


def from_json(data: Any) -> BlockMap:
    """The map of a parsed map.json."""
    config = _get(data, "worldConfig", "the map")
    entries = _get(data, "blocks", "the map")
    if not isinstance(entries, list):
        raise ValueError(f"'blocks' of the map: expected a list, got {type(entries).__name__}")
    scale = data["worldScale"] if "worldScale" in data else _get(config, "worldScale", "the map")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not scale > 0:
        raise ValueError(f"worldScale is {scale!r}: expected a positive number")
    blocks = np.zeros(_shape(config), np.uint8)
    for index, entry in enumerate(entries):
        _place(blocks, index, entry)
    given = {"sequence": "sequence", "lastUpdated": "last_updated", "captureId": "capture_id"}
    known = {ours: data[theirs] for theirs, ours in given.items() if theirs in data}
    custom = data.get("customBlocks", [])
    if not isinstance(custom, list):
        raise ValueError(f"'customBlocks' of the map: expected a list, got {type(custom).__name__}")
    return BlockMap(blocks, scale, config.get("seed", 0), custom_blocks=tuple(custom), **known)


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


def pack(blocks: np.ndarray) -> dict[str, Any]:
    """Block ids uint8 [X, Y, Z] as JSON, a few kilobytes: for a manifest that must bring its world along."""
    return {"shape": list(blocks.shape), "zlib": base64.b64encode(zlib.compress(blocks.tobytes(), 9)).decode()}


def unpack(packed: Mapping[str, Any]) -> np.ndarray:
    """The blocks of `pack`. ValueError where it is not one."""
    try:
        shape = _sides(packed["shape"], "shape")
        data = zlib.decompressobj().decompress(base64.b64decode(packed["zlib"], validate=True), prod(shape) + 1)
        return np.frombuffer(data, np.uint8).reshape(shape).copy()
    except (KeyError, TypeError, ValueError, zlib.error) as e:
        raise ValueError(f"not a packed map: {e}") from None
