"""An endless source of small captioned structures: a seed is a class, attributes, a caption and blocks.

`structure(seed, size)` is deterministic. The first two attributes of a class are its combination; one in eight
combinations is held out, and `split` chooses from which side a seed draws, so a model can be asked for a pairing that
it was never shown.

A structure that exists is frozen: seeds stand in checkpoints and published figures. Classes and values are drawn by
index, so the tuples in `CLASSES` never change and never grow, nor does `FIRST`; a new class may join `CLASSES`, and is
built where it is asked for by name. tests/worlds/blocks/structures/test_source.py holds hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np

from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.blocks.structures import fortress, houses, landscape, monuments
from terrarium.worlds.blocks.structures.shapes import BLOCK

MIN_SIZE, MAX_SIZE = 16, 32
SPLITS = ("train", "held_out")
SMALL = 0.75  # side of a small structure's plot, a large one's is 1
SALT = 7012  # keeps these seeds apart from those of terrains
GROUND = ("grass", "grass", "sand", "snow")  # weighted by repetition


@dataclass(frozen=True)
class Class:
    """A builder, the values of its attributes (the first two are the combination), and its caption."""

    build: Callable[..., None]
    choices: dict[str, tuple[str, ...]]
    caption: str


@dataclass(frozen=True, eq=False)
class Structure:
    """`blocks` uint8 [S, S, S] of palette ids, the ground at y = 0; `attributes` are words of the caption."""

    name: str
    attributes: dict[str, str]
    caption: str
    blocks: np.ndarray
    seed: int


WALLS, ROOFS = ("stone", "wooden", "sandstone"), ("thatched", "turf", "snowy")
TOPS = ("battlements", "pointed roofs")
CLASSES: dict[str, Class] = {
    "house": Class(
        houses.house,
        {"material": WALLS, "roof": ROOFS, "shape": ("gabled", "hipped", "flat"), "storeys": ("one", "two"),
         "detail": ("a chimney", "a porch")},
        "a {size} {storeys}-storey {material} house with a {shape} {roof} roof and {detail}",
    ),
    "hut": Class(
        houses.hut,
        {"material": ("stone", "wooden", "sandstone", "white"), "roof": ("thatched", "turf", "snowy"),
         "doors": ("one door", "two doors"), "height": ("low", "high")},
        "a {size} round {material} hut with {height} walls, a pointed {roof} roof and {doors}",
    ),
    "church": Class(
        houses.church,
        {"material": ("stone", "white", "sandstone"), "roof": ("thatched", "turf", "wooden"), "spire": ("low", "tall"),
         "detail": ("a cross", "a rose window")},
        "a {size} {material} church with a {roof} roof, a {spire} spire and {detail}",
    ),
    "windmill": Class(
        houses.windmill,
        {"material": ("stone", "wooden", "white"), "roof": ("thatched", "turf"), "sails": ("white", "yellow", "green"),
         "blades": ("upright", "slanted")},
        "a {size} {material} windmill with a {roof} cap and {blades} {sails} sails",
    ),
    "tower": Class(
        fortress.tower,
        {"material": WALLS, "top": ("battlements", "a pointed roof"), "shape": ("square", "round"),
         "windows": ("one row of windows", "two rows of windows")},
        "a {size} {shape} {material} tower with {top} and {windows}",
    ),
    "castle": Class(
        fortress.castle,
        {"material": WALLS, "towers": ("two", "four"), "top": TOPS, "middle": ("a keep", "a courtyard"),
         "moat": ("a moat", "no moat")},
        "a {size} {material} castle with {towers} towers, {top}, {middle} and {moat}",
    ),
    "gate": Class(
        fortress.gate,
        {"material": ("stone", "wooden", "sandstone", "mud"), "opening": ("an arched gate", "a square gate"),
         "towers": ("two towers", "no towers"), "top": ("battlements", "a thatched walk")},
        "a {size} {material} wall with {opening}, {towers} and {top}",
    ),
    "ruin": Class(
        fortress.ruin,
        {"material": WALLS, "cover": ("grass", "snow"), "remains": ("columns", "an arch"),
         "decay": ("fallen", "half-fallen")},
        "a {size} {decay} {material} ruin with {remains}, overgrown with {cover}",
    ),
    "temple": Class(
        monuments.temple,
        {"material": ("stone", "sandstone", "white"), "roof": ("thatched", "wooden"), "columns": ("four", "six"),
         "steps": ("one step", "two steps")},
        "a {size} {material} temple with {columns} front columns and a {roof} roof on {steps}",
    ),
    "pyramid": Class(
        monuments.pyramid,
        {"material": ("stone", "sandstone", "mud", "white"), "shape": ("smooth", "stepped"),
         "top": ("a bright tip", "a shrine"), "entrance": ("a doorway", "a stair")},
        "a {size} {shape} {material} pyramid with {top} and {entrance}",
    ),
    "arena": Class(
        monuments.arena,
        {"material": ("stone", "sandstone", "wooden"), "entrances": ("two", "four"), "floor": ("sand", "grass"),
         "height": ("low", "high")},
        "a {size} {height} {material} arena with {entrances} entrances around a floor of {floor}",
    ),
    "bridge": Class(
        monuments.bridge,
        {"material": ("stone", "wooden", "sandstone", "mud"), "arches": ("one arch", "two arches", "three arches"),
         "sides": ("railings", "lamps"), "deck": ("flat", "humped")},
        "a {size} {deck} {material} bridge of {arches} with {sides} over a river",
    ),
    "well": Class(
        monuments.well,
        {"material": ("stone", "sandstone", "wooden"), "roof": ("thatched", "turf", "snowy"),
         "shape": ("round", "square"), "paving": ("paving", "bare ground")},
        "a {size} {shape} {material} well under a {roof} roof, with {paving} around",
    ),
    "tree": Class(
        landscape.tree,
        {"leaves": ("green", "snowy", "autumn"), "crown": ("round", "pointed", "spreading"),
         "trunk": ("a short trunk", "a tall trunk")},
        "a {size} {leaves} tree with a {crown} crown and {trunk}",
    ),
    "lighthouse": Class(
        landscape.lighthouse,
        {"stripes": ("brown", "blue", "green"), "base": ("stone", "sand", "grass"), "roof": ("thatched", "turf"),
         "height": ("low", "tall")},
        "a {size} {height} white lighthouse with {stripes} stripes and a {roof} cap on an island of {base}",
    ),
    "ship": Class(
        landscape.ship,
        {"material": ("wooden", "mud", "stone"), "sails": ("white", "yellow", "green"),
         "masts": ("one mast", "two masts"), "cabin": ("a cabin", "an open deck")},
        "a {size} {material} sailing ship with {masts}, {sails} sails and {cabin}",
    ),
}  # fmt: skip
# What a seed draws its class from, by index.
FIRST = (
    "house", "hut", "church", "windmill", "tower", "castle", "gate", "ruin",
    "temple", "pyramid", "arena", "bridge", "well", "tree", "lighthouse", "ship",
)  # fmt: skip
AFLOAT = ("lighthouse", "ship")  # their ground is water, around their plot too


def held_out(name: str) -> frozenset[tuple[str, str]]:
    """The combinations of a class that no `train` structure has: an eighth of them, at least one."""
    first, second = list(CLASSES[name].choices.values())[:2]
    combinations = list(product(first, second))
    ranked = sorted(combinations, key=lambda pair: sha256(f"{SALT}/{name}/{pair[0]}/{pair[1]}".encode()).digest())
    return frozenset(ranked[: max(1, len(ranked) // 8)])


def structure(seed: int, size: int = MIN_SIZE, *, name: str | None = None, split: str = "train") -> Structure:
    """The structure of a seed in size^3 blocks, of the class `name` or of one that the seed draws.

    Raises ValueError where the class, the split or the size is unknown.
    """
    if name is not None and name not in CLASSES:
        raise ValueError(f"unknown structure {name!r}: expected one of {', '.join(CLASSES)}")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: expected one of {', '.join(SPLITS)}")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size is {size!r}: expected {MIN_SIZE}..{MAX_SIZE}")
    rng = np.random.default_rng([SALT, SPLITS.index(split), seed])
    drawn = FIRST[int(rng.integers(len(FIRST)))]
    name = name or drawn
    attributes = _draw(name, split, rng)
    blocks = np.zeros((size, size, size), np.uint8)
    blocks[:, 0] = BLOCK[attributes["ground"]]
    side = size if attributes["size"] == "large" else round(size * SMALL)
    start = (size - side) // 2
    plot = blocks[start : start + side, :, start : start + side]
    CLASSES[name].build(plot, rng, **{key: attributes[key] for key in CLASSES[name].choices})
    assert (blocks[:, 0] != AIR).all()
    return Structure(name, attributes, caption_of(name, attributes), blocks, seed)


def _draw(name: str, split: str, rng: np.random.Generator) -> dict[str, str]:
    choices = CLASSES[name].choices
    (first, firsts), (second, seconds), *rest = choices.items()
    kept = held_out(name)
    pairs = [pair for pair in product(firsts, seconds) if (pair in kept) == (split == "held_out")]
    pair = pairs[int(rng.integers(len(pairs)))]
    attributes: dict[str, Any] = {"size": ("small", "large")[int(rng.integers(2))], first: pair[0], second: pair[1]}
    attributes |= {key: values[int(rng.integers(len(values)))] for key, values in rest}
    ground = GROUND[int(rng.integers(len(GROUND)))]
    return attributes | {"ground": "water" if name in AFLOAT else ground}


def caption_of(name: str, attributes: dict[str, str]) -> str:
    """The sentence for a class and its attributes."""
    return f"{CLASSES[name].caption}, on {{ground}}".format(**attributes)
