"""Block types that wear a material: kept in map.json, drawn by the ray-caster, brought along by recordings."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrarium.worlds.blocks import raycast
from terrarium.worlds.blocks.coats import RIGHT, TEXELS, UP, Coats, coats_for
from terrarium.worlds.blocks.map_entries import COAT_SIDE, coats_of
from terrarium.worlds.blocks.map_json import BlockMap, from_json, pack, read_map, to_json, unpack, write_map
from terrarium.worlds.blocks.palette import ID, NORMALS, SUN_DIR, WALK_LIGHT
from terrarium.worlds.blocks.world import world_of
from terrarium.worlds.episodes.record import block_source

FLAT = (128, 128, 255)
STONE = ID["Stone"]


def picture(colour: Any) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (COAT_SIDE, COAT_SIDE, 3))


def entry(basecolor: Any = (200, 100, 50), normal: Any = FLAT, orm: Any = (255, 128, 0), **more: Any) -> dict[str, Any]:
    maps = {"basecolor": picture(basecolor), "normal": picture(normal), "orm": picture(orm)}
    texels = {name: base64.b64encode(values.tobytes()).decode() for name, values in maps.items()}
    return {"blockType": "Stone", "name": "bricks", "texels": {"side": COAT_SIDE} | texels} | more


def worn(basecolor: Any = (200, 100, 50), normal: Any = FLAT) -> Coats:
    """By stone."""
    found = coats_for(coats_of([entry(basecolor, normal)]))
    assert found is not None
    return found


def a_wall(**more: Any) -> BlockMap:
    """A floor and a wall of stone, on which a player can stand."""
    blocks = np.zeros((12, 8, 12), np.uint8)
    blocks[:, 0], blocks[:, 1:5, 2] = STONE, STONE
    return BlockMap(blocks, **more)


def test_what_types_wear_is_kept_beside_what_other_programs_left(tmp_path: Path) -> None:
    custom = ({"name": "mine"}, entry(mood="kept"), 7, {"texels": "another's"})
    write_map(tmp_path / "map.json", a_wall(custom_blocks=custom))
    back = read_map(tmp_path / "map.json")
    assert to_json(back) == json.loads((tmp_path / "map.json").read_text())
    assert back.custom_blocks == custom and list(coats_of(back.custom_blocks)) == [STONE]
    blocks, coats = unpack(json.loads(json.dumps(pack(back.blocks, back.custom_blocks))))
    np.testing.assert_array_equal(blocks, back.blocks)
    assert coats == coats_of(custom) and coats[STONE].name == "bricks"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blockType": "Cheese"}, "entry 0 of customBlocks: blockType 'Cheese', expected one of Grass"),
        ({"blockType": "Air"}, "blockType 'Air'"),
        ({"texels": {"side": 16}}, "texels.side is 16, expected 32"),
        ({"texels": {"side": 32, "basecolor": "?"}}, "texels.basecolor is '\\?', expected base64"),
        ({"texels": {"side": 32, "basecolor": "AAAA"}}, "texels.basecolor has 3 bytes, expected 32 x 32 x 3"),
    ],
)
def test_a_bad_coat_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(to_json(a_wall()) | {"customBlocks": [entry() | wrong]})


def test_faces_are_laid_as_they_are_seen_from_outside() -> None:
    for right, up, normal in zip(RIGHT, UP, NORMALS, strict=True):
        np.testing.assert_array_equal(np.cross(right, up), normal)


@pytest.mark.parametrize("face", range(6))
def test_each_corner_of_a_face_shows_its_texel(face: int) -> None:
    """The picture's four quarters have colours of their own; a ray finds the one that lies where it should."""
    colours = np.zeros((COAT_SIDE, COAT_SIDE, 3), np.uint8)
    half = COAT_SIDE // 2
    quarters = {(-1, 1): (255, 0, 0), (1, 1): (0, 255, 0), (-1, -1): (0, 0, 255), (1, -1): (255, 255, 255)}
    for (x, y), colour in quarters.items():  # x to the right, y up
        colours[half if y < 0 else 0 :, half if x > 0 else 0 :][:half, :half] = colour
    coats = worn(colours)
    blocks = np.zeros((3, 3, 3), np.uint8)
    blocks[1, 1, 1] = STONE
    volume = raycast.Volume(blocks, coats)
    for (x, y), colour in quarters.items():
        at = 1.5 + 0.5 * NORMALS[face] + 0.25 * (x * RIGHT[face] + y * UP[face])
        eye = at + 0.05 * NORMALS[face]
        yaw, pitch = looking(-NORMALS[face])
        seen = raycast.render(volume, tuple(eye), yaw, pitch, 9, 9, smooth=False)[4, 4] / WALK_LIGHT[face]
        expected = np.array(colour, float)
        assert np.abs(seen - expected)[expected == 0].max(initial=0) == 0, (face, x, y, seen)
        assert (seen[expected > 0] > 150).all(), (face, x, y, seen)


def looking(towards: np.ndarray) -> tuple[float, float]:
    x, y, z = towards
    return float(np.degrees(np.arctan2(x, -z))), float(np.degrees(np.arcsin(y)))


def test_flat_texels_have_the_walks_light_and_leaning_ones_the_suns() -> None:
    flat = worn().lit[0]
    expected = np.array([200, 100, 50]) / 255 * WALK_LIGHT[:, None]
    np.testing.assert_allclose(flat, np.broadcast_to(expected[:, None], (6, TEXELS, 3)), atol=0.004)  # 128 is not 127.5
    for tilt in ((230, 128, 200), (25, 128, 200)):
        leaning = worn(normal=tilt).lit[0][:, -1].mean(-1) / flat[:, -1].mean(-1)
        tangent = np.array(tilt) / 127.5 - 1
        tangent /= np.linalg.norm(tangent)
        for face in range(6):
            world = tangent @ np.stack([RIGHT[face], UP[face], NORMALS[face]])
            assert leaning[face] == pytest.approx(1 + (world - NORMALS[face]) @ -SUN_DIR, abs=0.02)


def test_far_texels_are_the_mean_of_near_ones() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (COAT_SIDE, COAT_SIDE, 3), np.uint8)
    lit = worn(noise).lit[0, 3]
    near, last = lit[: COAT_SIDE**2].mean(0), lit[-1]
    np.testing.assert_allclose(near, last, atol=1e-5)


def test_only_what_wears_a_material_is_drawn_otherwise() -> None:
    wall = a_wall()
    wall.blocks[6, 1, 6] = ID["RedWool"]
    plain, dressed = raycast.Volume(wall.blocks), raycast.Volume(wall.blocks, worn())
    eye = (6.0, 2.6, 10.5)
    a, b = (raycast.render(v, eye, 0.0, -5.0, 48, 48, smooth=False) for v in (plain, dressed))
    shown = raycast.label(plain, eye, 0.0, -5.0, 48, 48).block
    stone = shown == STONE
    assert 0.2 < stone.mean() < 1 and (shown == ID["RedWool"]).any()
    np.testing.assert_array_equal(a[~stone], b[~stone])
    assert (a[stone] != b[stone]).any(-1).all()


def test_a_recording_brings_along_what_types_wear(tmp_path: Path) -> None:
    write_map(tmp_path / "map.json", a_wall(custom_blocks=(entry(),)))
    source = json.loads(json.dumps(block_source(str(tmp_path))))
    dressed = world_of(source, 32, 32)
    frame = dressed.reset(3)
    assert dressed.volume.coats is not None and dressed.volume.coats.row[STONE] == 0
    del source["map"]["coats"]
    assert (world_of(source, 32, 32).reset(3) != frame).any()
