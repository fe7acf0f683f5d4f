"""What a parsed map.json says, checked block by block. Without NumPy: the gateway checks what is uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from terrarium.worlds.blocks.block_types import AIR, ID, NAMES

MAX_SIDE = 1024  # blocks along one axis
MAX_BLOCKS = 2**26  # places in a map, air included
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Entries:
    """`places` holds the palette id of every block that is not Air, by position."""

    shape: Place
    world_scale: float
    places: dict[Place, int]


def entries_of(data: Any) -> Entries:
    """Raises ValueError with the block's index, position and type, and what was expected."""
    config = _get(data, "worldConfig", "the map")
    blocks = _get(data, "blocks", "the map")
    if not isinstance(blocks, list):
        raise ValueError(f"'blocks' of the map: expected a list, got {type(blocks).__name__}")
    scale = data["worldScale"] if "worldScale" in data else _get(config, "worldScale", "the map")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not scale > 0:
        raise ValueError(f"worldScale is {scale!r}: expected a positive number")
    shape = _shape(config)
    places: dict[Place, int] = {}
    for index, entry in enumerate(blocks):
        _place(places, shape, index, entry)
    return Entries(shape, scale, places)


def sides(given: list[Any], where: str) -> Place:
    """A map's shape. ValueError for one that is not of integers, or too large."""
    for axis, side in zip("xyz", given, strict=True):
        if not _is_int(side) or not 1 <= side <= MAX_SIDE:
            raise ValueError(f"{where}.{axis} is {side!r}: expected an integer in 1..{MAX_SIDE}")
    if prod(given) > MAX_BLOCKS:
        raise ValueError(f"{where} are {given}: expected at most {MAX_BLOCKS} places in all")
    return given[0], given[1], given[2]


def _get(holder: Mapping[str, Any], key: str, where: str) -> Any:
    if not isinstance(holder, Mapping):
        raise ValueError(f"{where}: expected an object, got {type(holder).__name__}")
    if key not in holder:
        raise ValueError(f"{where} lacks the key {key!r}")
    return holder[key]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shape(config: Mapping[str, Any]) -> Place:
    dimensions = _get(config, "dimensions", "worldConfig")
    return sides([_get(dimensions, axis, "worldConfig.dimensions") for axis in "xyz"], "worldConfig.dimensions")


def _place(places: dict[Place, int], shape: Place, index: int, entry: Any) -> None:
    """Adds one entry of `blocks`."""
    position = _get(entry, "position", f"block {index}")
    kind = _get(entry, "blockType", f"block {index} at {position!r}")
    where = f"block {index} at {position!r} of type {kind!r}"
    if not isinstance(kind, str) or kind not in ID:
        raise ValueError(f"{where}: unknown type, expected one of {', '.join(NAMES)}")
    if not isinstance(position, list | tuple) or len(position) != 3 or not all(map(_is_int, position)):
        raise ValueError(f"{where}: expected a position of three integers [x, y, z]")
    for axis, at, side in zip("xyz", position, shape, strict=True):
        if not 0 <= at < side:
            raise ValueError(f"{where}: {axis} is out of bounds, expected 0..{side - 1}")
    x, y, z = position
    if (x, y, z) in places:
        raise ValueError(f"{where}: duplicate, {NAMES[places[x, y, z]]} is already there")
    if ID[kind] != AIR:
        places[x, y, z] = ID[kind]
