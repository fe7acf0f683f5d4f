"""Worlds that exist stay as they are, whatever is added: blocks by hash, pictures within rounding."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from terrarium.worlds.blocks import terrain
from terrarium.worlds.blocks.palette import NAMES
from terrarium.worlds.blocks.world import BlockWorld

SEEDS = (0, 7, 10_000)
BLOCKS = {  # sha256 of the blocks, its beginning, a seed each: integers, the same on every processor
    "mixed": ("cd4085a9a0f0c3d9", "7087f3ea4182ec24", "134ec70d190327f6"),
    "plains": ("c00fa313c838a820", "5a75fd6d3152d4c0", "0719c12234e3ff95"),
    "desert": ("c5a6a201534ef97c", "b36fbd0de6374975", "bdbbce4dfb417ad9"),
    "forest": ("c209caecd09f1f39", "a0358455905920eb", "da4ae3a77454f1c2"),
    "lake": ("bf9aa9346953f4d6", "0386e4d6feb07571", "0577f1d83b952297"),
    "hills": ("978dbc5030180602", "433de8187337d1eb", "ce51e179f69e0345"),
}
# The first pose of a walk, and its first frame as 4 x 4 mean colours. Both come of float arithmetic: compared within
# a hundredth of a block or degree and one level of brightness.
STARTS = {
    ("mixed", 0): (
        (51.5, 8.62, 37.5, 132.687, 0.0),
        "afc1ce163b180b2115081b1760646a3a3c331f3b1d3f595c636566867c6398906b598b54d3c590cec08cbaad7d4e5934",
    ),
    ("mixed", 7): (
        (12.5, 8.62, 17.5, 250.153, 0.0),
        "5f98e36984ae76717ca5632b90665c934d3d934a3aa95f1fc4a87cbb9f75a38a66ac6f2ecabc89c4b786beb182b28b52",
    ),
    ("lake", 3): (
        (42.5, 8.62, 52.5, 312.403, 0.0),
        "9191c24f53a46499e45d99e86376c0534a945470618aa0beb09d829f8e8ab5b07da09e70dacb95d2c48fc7ba88cdbe8b",
    ),
}
PALETTE = (
    "Air Grass Dirt Stone Plank Snow Sand Water Log Leaves Pine Brick Cactus "
    "RedWool OrangeWool YellowWool TealWool BlueWool PurpleWool PinkWool"
)
# What a new terrain brings: a material, a landmark, a biome, a salt.
A_NEW_TERRAIN = """
import hashlib, json
from terrarium.worlds.blocks import block_types, palette
palette.BLOCKS += (block_types.BlockType("Slime", (0.2, 0.9, 0.2), (0.2, 0.9, 0.2), (0.2, 0.9, 0.2)),)
palette.NAMES += ("Slime",)
palette.ID["Slime"] = len(palette.ID)
from terrarium.worlds.blocks import landmarks, terrain
from terrarium.worlds.blocks.world import BlockWorld

def blob(blocks, x, y, z, rng):
    landmarks.box(blocks, x, y, z, (2, int(rng.integers(1, 4)), 2), palette.ID["Slime"])

terrain.BIOMES["swamp"] = terrain.Biome(5.0, 1.0, "Slime", "Dirt", "Stone", 0.9, (blob, landmarks.tree))
terrain.SALTS["swamp"] = 6
mixed = [terrain.generate("mixed", seed) for seed in %s]
print(json.dumps({
    "slime": int((terrain.generate("swamp", 0) == palette.ID["Slime"]).sum()),
    "blocks": [hashlib.sha256(blocks).hexdigest()[:16] for blocks in mixed],
    "frame": hashlib.sha256(BlockWorld().reset(7)).hexdigest(),
}))
"""


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_seed_builds_the_world_that_it_always_built(kind):
    found = [hashlib.sha256(terrain.generate(kind, seed)).hexdigest()[:16] for seed in SEEDS]
    assert tuple(found) == BLOCKS[kind]


@pytest.mark.parametrize("start", STARTS, ids=lambda start: f"{start[0]}-{start[1]}")
def test_a_seed_starts_where_it_always_started(start):
    pose, colours = STARTS[start]
    world = BlockWorld(terrain=start[0])
    frame = world.reset(start[1])
    assert world.pose == pytest.approx(pose, abs=0.01)
    expected = np.frombuffer(bytes.fromhex(colours), np.uint8).reshape(4, 4, 3)
    assert np.abs(frame.reshape(4, 16, 4, 16, 3).mean((1, 3)) - expected).max() <= 1


def test_a_new_terrain_material_and_landmark_leave_mixed_worlds_alone():
    script = A_NEW_TERRAIN % (SEEDS,)
    found = json.loads(subprocess.check_output([sys.executable, "-c", script], text=True))
    assert found["slime"] > 100
    assert tuple(found["blocks"]) == BLOCKS["mixed"]
    assert found["frame"] == hashlib.sha256(BlockWorld().reset(7)).hexdigest()


def test_ids_and_salts_are_given_once():
    assert NAMES[:20] == tuple(PALETTE.split())
    assert len(set(terrain.SALTS.values())) == len(terrain.SALTS)
    assert set(terrain.BIOMES) < set(terrain.SALTS)
