"""What a parsed map.json says, checked block by block. Without NumPy: the gateway checks what is uploaded.

A block type that wears a material is an entry of `customBlocks`, which may hold anything else besides:

    {"blockType": "Stone", "material": id of the asset, "name": its name, "texels": {"side": 32,
     "basecolor" | "normal" | "orm": base64 of side x side x 3 bytes, rows from the top}}

So a map brings along what it needs to be drawn; the asset has the same in full size, as long as it is there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from terrarium.worlds.blocks.block_types import AIR, ID, NAMES

MAX_SIDE = 1024  # blocks along one axis
MAX_BLOCKS = 2**26  # places in a map, air included
COAT_SIDE = 32  # texels along a block's side
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Entries:
    """`places` holds the palette id of every block that is not Air, by position; `custom` is `customBlocks`."""

    shape: Place
    world_scale: float
    places: dict[Place, int]
    custom: list[Any]


@dataclass(frozen=True)
class Coat:
    """A material on a block type: `material` and `name` are the asset's, each map COAT_SIDE x COAT_SIDE x 3 bytes, rows
    from the top; `orm` is ambient occlusion, roughness, metallic."""

    material: str
    name: str
    basecolor: bytes
    normal: bytes
    orm: bytes


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
    custom = data.get("customBlocks", [])
    if not isinstance(custom, list):
        raise ValueError(f"'customBlocks' of the map: expected a list, got {type(custom).__name__}")
    coats_of(custom)
    return Entries(shape, scale, places, custom)


def coats_of(custom: Sequence[Any]) -> dict[int, Coat]:
    """{palette id: what it wears} of `customBlocks`; of two for one type the last. Entries without `blockType` and
    `texels` are another program's, and left alone. ValueError for one that is not as it should be."""
    return dict(_coat(index, entry) for index, entry in enumerate(custom) if is_coat(entry))


def is_coat(entry: Any) -> bool:
    return isinstance(entry, Mapping) and {"blockType", "texels"} <= entry.keys()


def _coat(index: int, entry: Mapping[str, Any]) -> tuple[int, Coat]:
    kind, where = entry.get("blockType"), f"entry {index} of customBlocks"
    if not isinstance(kind, str) or ID.get(kind, AIR) == AIR:
        raise ValueError(f"{where}: blockType {kind!r}, expected one of {', '.join(NAMES[1:])}")
    texels, names = entry["texels"], ("basecolor", "normal", "orm")
    side = texels.get("side") if isinstance(texels, Mapping) else None
    if side != COAT_SIDE:
        raise ValueError(f"{where}: texels.side is {side!r}, expected {COAT_SIDE}")
    maps = {name: _texels(texels.get(name), f"{where}: texels.{name}") for name in names}
    return ID[kind], Coat(str(entry.get("material", "")), str(entry.get("name", "")), **maps)


def _texels(found: Any, where: str) -> bytes:
    try:
        data = base64.b64decode(found, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError(f"{where} is {str(found)[:40]!r}, expected base64") from None
    if len(data) != COAT_SIDE * COAT_SIDE * 3:
        raise ValueError(f"{where} has {len(data)} bytes, expected {COAT_SIDE} x {COAT_SIDE} x 3")
    return data


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
