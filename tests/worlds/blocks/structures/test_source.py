"""Structures: frozen by hash, in their plots, in the format's own materials, captioned by what they are."""

import hashlib
import json

import numpy as np
import pytest

from terrarium.worlds.blocks.map_json import BlockMap, from_json, to_json
from terrarium.worlds.blocks.palette import AIR, ID
from terrarium.worlds.blocks.structures.source import (
    CLASSES,
    FIRST,
    MAX_SIZE,
    MIN_SIZE,
    SPLITS,
    caption_of,
    held_out,
    structure,
)

FROZEN = {
    "house": ("3ff8be08764a4e5a", "3d39160eea1dd92e", "c9194884531a33b7"),
    "hut": ("4c215e58a2cd9535", "1a0908e10050f9fa", "9182ce740b00749d"),
    "church": ("bee26d229f6b7aab", "e33ca9dafc5e2349", "217e83bf41446a57"),
    "windmill": ("382bb87095bf94ce", "9a8f3ae0843cfdae", "2f4c0990dd7f9355"),
    "tower": ("0aa5a3d07bec1096", "dbd9710f6a0ba69d", "f069df3379db75ea"),
    "castle": ("4208924479a13965", "c4444f58eccbf89b", "277693161cbc2ca0"),
    "gate": ("a1d3e63f83ed3f64", "7892456b7f14b250", "80c12aef813ef16a"),
    "ruin": ("d925cb7e691c95ba", "a62aedc51a5ed096", "6bf7a9e38b509a56"),
    "temple": ("b11de29aef9f8654", "614133b44b280532", "a7962a7035ee3f0f"),
    "pyramid": ("755d9f2bacbf1c8c", "dd95e9b5749274d0", "a3823da571d84320"),
    "arena": ("4ae656ef18123b21", "7a8948bdb9355810", "d2e7ad4e5a10ab5b"),
    "bridge": ("36c7e9fda4ca51d9", "f408aeca11357e31", "5961fb20d4710cbb"),
    "well": ("cdea1d84d7d5550d", "e8d9c19742ebbed2", "b6d244901e9ec1bc"),
    "tree": ("328463d33c053e11", "d3fd1fdff2f70e14", "dbf2b3798a723cb6"),
    "lighthouse": ("1aaeeb7ad179f61a", "5f7ff7bba740768a", "fed7eb1786546467"),
    "ship": ("0ee5f74f3cf68eb7", "e94c0f4be0e17c30", "61e36bb0033eebc8"),
}
DRAWN = "lighthouse ruin hut ruin arena house gate arena bridge castle lighthouse temple"


def hashes(name):
    """sha256 of caption and blocks, its beginning, for three draws of a class."""
    drawn = structure(0, 16, name=name), structure(7, 23, name=name), structure(10_000, 32, name=name, split="held_out")
    return tuple(hashlib.sha256(s.caption.encode() + s.blocks.tobytes()).hexdigest()[:16] for s in drawn)


@pytest.mark.parametrize("name", FIRST)
def test_a_seed_builds_what_it_always_built(name):
    assert hashes(name) == FROZEN[name]


def test_a_seed_draws_the_class_that_it_always_drew():
    drawn = " ".join(structure(seed).name for seed in range(12))
    assert drawn == DRAWN
    assert set(FIRST) <= set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("size", [MIN_SIZE, 17, 24, MAX_SIZE])
def test_structures_fill_their_plot_and_stay_below_the_sky(name, size):
    for seed in range(6):
        blocks = structure(seed, size, name=name).blocks
        assert blocks.shape == (size, size, size) and blocks.dtype == np.uint8
        assert (blocks[:, 0] != AIR).all()  # the ground is closed
        assert blocks.max() <= ID["Water"]  # the map format's own palette
        tall = np.flatnonzero((blocks != AIR).any((0, 2)))[-1] + 1
        wide = np.ptp(np.flatnonzero((blocks[:, 1:] != AIR).any((1, 2)))) + 1
        assert 0.3 * size < max(tall, wide) and 4 <= tall <= size
        assert 30 < (blocks[:, 1:] != AIR).sum() < 0.5 * size**3


@pytest.mark.parametrize("name", CLASSES)
def test_attributes_show(name):
    """Seeds differ in their blocks wherever their captions differ."""
    drawn = {}
    for seed in range(40):
        one = structure(seed, name=name)
        assert all(one.attributes[key] in values for key, values in CLASSES[name].choices.items())
        assert one.caption == caption_of(name, one.attributes)
        drawn.setdefault(one.caption, set()).add(one.blocks.tobytes())
    assert len(drawn) > 12
    assert len(set().union(*drawn.values())) >= len(drawn)


def test_every_value_is_in_its_caption():
    for name, one in CLASSES.items():
        assert all("{" + key + "}" in one.caption for key in one.choices), name
        assert "{size}" in one.caption and name in structure(0, name=name).caption


@pytest.mark.parametrize("name", CLASSES)
def test_held_out_combinations_are_never_shown(name):
    keys = list(CLASSES[name].choices)[:2]

    def pairs(split):
        return {tuple(structure(seed, name=name, split=split).attributes[key] for key in keys) for seed in range(40)}

    assert pairs("held_out") <= held_out(name)
    assert not pairs("train") & held_out(name)
    # a model has met each word of a held-out combination, in another one
    assert {word for pair in held_out(name) for word in pair} <= {word for pair in pairs("train") for word in pair}


def test_same_seed_same_structure():
    for split in SPLITS:
        first, again = (structure(31, split=split) for _ in range(2))
        assert first.caption == again.caption and first.attributes == again.attributes
        np.testing.assert_array_equal(first.blocks, again.blocks)


def test_map_json_round_trip():
    for seed in range(8):
        blocks = structure(seed, 20).blocks
        data = json.loads(json.dumps(to_json(BlockMap(blocks, seed=seed))))
        np.testing.assert_array_equal(from_json(data).blocks, blocks)


def test_bad_requests():
    with pytest.raises(ValueError, match=r"unknown structure 'moon base'.*lighthouse"):
        structure(0, name="moon base")
    with pytest.raises(ValueError, match=r"split is 'test'.*train, held_out"):
        structure(0, split="test")
    for size in (15, 33):
        with pytest.raises(ValueError, match=rf"size is {size}: expected 16..32"):
            structure(0, size)
