"""map.json: exact round trips, and errors that name the block."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from terrarium.worlds.blocks.map_json import BlockMap, from_json, pack, read_map, to_json, unpack, write_map
from terrarium.worlds.blocks.palette import ID, NAMES

blocks = npst.arrays(
    np.uint8,
    npst.array_shapes(min_dims=3, max_dims=3, max_side=5),
    elements=st.integers(0, len(NAMES) - 1),
)


def a_map(*entries, side=4) -> dict:
    return {
        "sequence": 1,
        "lastUpdated": "2024-05-01T00:00:00+00:00",
        "captureId": "6b1f4f6e-0000-4000-8000-000000000000",
        "worldScale": 2,
        "worldConfig": {"seed": 123, "dimensions": {"x": side, "y": side, "z": side}, "worldScale": 2},
        "blocks": list(entries),
        "customBlocks": [],
    }


def block(position, kind="Stone") -> dict:
    return {"position": position, "blockType": kind}


@settings(max_examples=50, deadline=None)
@given(blocks)
def test_round_trip(grid):
    data = json.loads(json.dumps(to_json(BlockMap(grid, seed=5))))
    back = from_json(data)
    np.testing.assert_array_equal(back.blocks, grid)
    assert to_json(back) == data


def test_order_is_y_then_z_then_x():
    data = to_json(BlockMap(np.full((2, 2, 2), ID["Stone"], np.uint8)))
    positions = [tuple(entry["position"]) for entry in data["blocks"]]
    assert positions == sorted(positions, key=lambda p: (p[1], p[2], p[0]))
    assert positions[1] == (1, 0, 0)


def test_file_round_trip_keeps_every_field(tmp_path):
    data = a_map(block([0, 0, 0]), block([1, 0, 0], "Water"), block([3, 2, 1], "RedWool"))
    data["customBlocks"] = [{"name": "mine"}]
    (tmp_path / "in.json").write_text(json.dumps(data))
    write_map(tmp_path / "out.json", read_map(tmp_path / "in.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == data


def test_scale_is_read_from_the_top_first_and_written_in_both_places():
    data = a_map()
    data["worldScale"] = 3
    out = to_json(from_json(data))
    assert out["worldScale"] == out["worldConfig"]["worldScale"] == 3
    del data["worldScale"]
    assert from_json(data).world_scale == 2


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (block([0, 0, 1], "Lava"), ["block 1", "[0, 0, 1]", "'Lava'", "Grass"]),
        (block([0, 4, 1]), ["block 1", "[0, 4, 1]", "'Stone'", "y is out of bounds", "0..3"]),
        (block([-1, 0, 1]), ["block 1", "x is out of bounds"]),
        (block([0, 0, 0], "Sand"), ["block 1", "[0, 0, 0]", "'Sand'", "duplicate", "Stone"]),
        (block([0, 1.5, 0]), ["block 1", "[0, 1.5, 0]", "three integers"]),
        (block([True, 1, 0]), ["block 1", "three integers"]),
        (block([0, 1]), ["block 1", "three integers"]),
        (block("abc"), ["block 1", "'abc'", "three integers"]),
        (block([0, 1, 2], 7), ["block 1", "7", "unknown type"]),
        ({"blockType": "Stone"}, ["block 1", "'position'"]),
        ({"position": [0, 0, 1]}, ["block 1", "[0, 0, 1]", "'blockType'"]),
        ("Stone", ["block 1", "expected an object"]),
    ],
)
def test_a_bad_block_is_named(entry, said):
    with pytest.raises(ValueError) as error:
        from_json(a_map(block([0, 0, 0]), entry))
    for words in said:
        assert words in str(error.value)


@pytest.mark.parametrize("key", ["worldConfig", "blocks"])
def test_a_missing_key_is_named(key):
    data = a_map()
    del data[key]
    with pytest.raises(ValueError, match=key):
        from_json(data)


@pytest.mark.parametrize("side", [0, -1, 2.5, "64", None, 100_000])
def test_bad_dimensions(side):
    with pytest.raises(ValueError, match=r"dimensions\.x.*expected an integer"):
        from_json(a_map(side=side))


def test_too_many_places():
    with pytest.raises(ValueError, match=r"dimensions are \[1024, 1024, 1024\].*at most"):
        from_json(a_map(side=1024))


@pytest.mark.parametrize("custom", [None, "mine", {}])
def test_bad_custom_blocks(custom):
    with pytest.raises(ValueError, match=r"customBlocks.*expected a list"):
        from_json(a_map() | {"customBlocks": custom})


@pytest.mark.parametrize("scale", [0, -1, "2", None, True])
def test_bad_scale(scale):
    with pytest.raises(ValueError, match=r"worldScale.*positive"):
        from_json(a_map() | {"worldScale": scale})


@pytest.mark.parametrize("text", ["", "{", "[1,", "\x00"])
def test_not_json(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json is not JSON"):
        read_map(path)


@pytest.mark.parametrize("data", [[], 3, None, "map"])
def test_not_an_object(tmp_path, data):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"bad\.json: the map: expected an object"):
        read_map(path)


def test_packed_blocks_come_back():
    blocks = np.random.default_rng(0).integers(len(NAMES), size=(5, 4, 3)).astype(np.uint8)
    packed = json.loads(json.dumps(pack(blocks)))
    np.testing.assert_array_equal(unpack(packed)[0], blocks)
    assert unpack(packed)[1] == {}
    for wrong in ({}, packed | {"shape": [5, 4, 4]}, packed | {"zlib": "AAAA"}, packed | {"zlib": "?"}):
        with pytest.raises(ValueError, match="not a packed map"):
            unpack(wrong)


def test_a_packed_map_is_unpacked_no_further_than_its_shape() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(2**28), 9)).decode()
    with pytest.raises(ValueError, match="not a packed map"):
        unpack({"shape": [2, 2, 2], "zlib": bomb})
    with pytest.raises(ValueError, match="at most"):
        unpack({"shape": [1024, 1024, 1024], "zlib": bomb})


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff", b"{"])
def test_a_file_that_is_no_json_is_named(tmp_path, text) -> None:
    (tmp_path / "map.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"map\.json is not JSON"):
        read_map(tmp_path / "map.json")
