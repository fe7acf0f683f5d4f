"""Both layouts of the prior art: written, read back, and refused with a reason."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrarium.worlds.materials import matsynth
from terrarium.worlds.materials.files import read_grey, read_normal, write_picture
from terrarium.worlds.materials.multi_view import MultiView, views_of, write_lists, write_outputs, write_sample
from terrarium.worlds.materials.procedural import material
from terrarium.worlds.materials.splits import split

SIDE = 32
HALF_BIT = 0.6 / 255


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """One material, two samples of it."""
    made = material("brick", 0, SIDE)
    write_outputs(tmp_path, "brick-0", made.maps)
    views = np.random.default_rng(0).random((2, 3, 3, SIDE, SIDE), dtype=np.float32)
    names = ("sample_0000", "sample_0001")
    for name, each in zip(names, views, strict=True):
        write_sample(tmp_path, name, {"clean": each, "dirty": 0.5 * each})
    poses = np.array([[0, 0, 4], [20, 90, 4], [40, 200, 3]], np.float32)
    write_lists(tmp_path, dict.fromkeys(names, "brick-0"), dict.fromkeys(names, poses))
    return tmp_path


def test_the_multi_view_layout_is_read_as_it_was_written(layout: Path) -> None:
    data = MultiView(layout)
    assert dict(data.materials) == {"sample_0000": "brick-0", "sample_0001": "brick-0"}
    sample = data.read("sample_0001", "dirty")
    np.testing.assert_allclose(sample.maps[:5], material("brick", 0, SIDE).maps[:5], atol=HALF_BIT)
    np.testing.assert_allclose(sample.maps[5:], material("brick", 0, SIDE).maps[5:], atol=0.02)
    np.testing.assert_allclose(sample.views, 0.5 * data.read("sample_0001").views, atol=2 * HALF_BIT)
    assert sample.poses is not None and sample.poses[1].tolist() == [20, 90, 4]
    (layout / "poses.json").unlink()
    assert MultiView(layout).read("sample_0000").poses is None


def test_the_matsynth_layout_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = material("rusted_metal", 1, SIDE)
    (tmp_path / made.name).mkdir()
    matsynth.write_material(tmp_path / made.name, made)
    assert matsynth.list_materials(tmp_path) == [made.name]
    read = matsynth.read_maps(tmp_path / made.name)
    np.testing.assert_allclose(read[:5], made.maps[:5], atol=HALF_BIT)
    other = matsynth.read_maps(tmp_path / made.name, directx=True)
    np.testing.assert_array_equal(other[6], -read[6])
    (tmp_path / made.name / "metallic.png").unlink()
    with pytest.raises(ValueError, match=r"has no metallic\.png: expected basecolor"):
        matsynth.read_maps(tmp_path / made.name)
    with pytest.raises(ValueError, match="holds no materials"):
        matsynth.list_materials(tmp_path / made.name)


def a_header_alone(file: Path, width: int, height: int) -> None:
    """A PNG that claims a size, of 100 bytes."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT")


def noise(*size: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(9).integers(0, 255, (*size, 3), np.uint8))


def drop(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


VIEW = "input/clean/sample_0000/1.png"
WRONG = {
    "missing metadata": (lambda f: drop(f / "render_metadata.json"), "render_metadata.json is missing"),
    "an unlisted sample": (
        lambda f: shutil.copytree(f / "input/clean/sample_0000", f / "input/clean/sample_0007"),
        "does not list sample_0007, which is in input/clean",
    ),
    "a listed sample that is missing": (lambda f: drop(f / "input/dirty/sample_0001"), "lists sample_0001, which"),
    "a material that is missing": (lambda f: drop(f / "output/brick-0"), "is of 'brick-0', which is not in"),
    "a name that leads elsewhere": (
        lambda f: (f / "render_metadata.json").write_text(json.dumps({"sample_0000": "../brick-0"})),
        "expected names of folders",
    ),
    "a missing map": (lambda f: drop(f / "output/brick-0/roughness.png"), "has no roughness.png: expected albedo"),
    "a view of another size": (lambda f: noise(SIDE, 48).save(f / VIEW), "has 48 x 32 pixels, expected 32 x 32"),
    "a map of another size": (
        lambda f: noise(64, 64).save(f / "output/brick-0/albedo.png"),
        "albedo.png has 64 x 64 pixels, expected 32 x 32",
    ),
    "a view twice": (
        lambda f: shutil.copy(f / VIEW, f / "input/clean/sample_0000/2.png"),
        "2.png is the same picture as 1.png",
    ),
    "a truncated view": (lambda f: (f / VIEW).write_bytes((f / VIEW).read_bytes()[:700]), "damaged or cut short"),
    "text in place of a view": (lambda f: (f / VIEW).write_text("no picture"), "1.png is no picture"),
    "a normal map that is none": (lambda f: noise(SIDE, SIDE).save(f / "output/brick-0/normal.png"), "no normal map"),
    "a black view": (lambda f: write_picture(f / VIEW, np.zeros((3, SIDE, SIDE))), "1.png is all black"),
    "a wrong bit depth": (
        lambda f: Image.fromarray(np.zeros((SIDE, SIDE), np.float32)).save(
            (f / "output/brick-0/roughness.png"), format="TIFF"
        ),
        "roughness.png is no picture, expected PNG, JPEG, WEBP or DDS",
    ),
    "a coloured roughness": (
        lambda f: noise(SIDE, SIDE).save(f / "output/brick-0/roughness.png"),
        "is coloured, expected one value a pixel",
    ),
    "an image of 30,000 pixels": (lambda f: a_header_alone(f / VIEW, 30_000, 30_000), "expected 16 to 8192"),
    "two views": (lambda f: drop(f / VIEW), r"holds 2 views \(0.png, 2.png\), expected exactly 3"),
    "poses of two views": (
        lambda f: (f / "poses.json").write_text(json.dumps({"sample_0000": [[0, 0, 4]] * 2})),
        r"\[\[0, 0, 4\], \[0, 0, 4\]\], expected three poses",
    ),
    "no inputs": (lambda f: drop(f / "input"), "neither input/clean nor input/dirty"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_folder_is_refused_with_what_is_wrong(layout: Path, fault: str) -> None:
    spoil, message = WRONG[fault]
    spoil(layout)
    with pytest.raises(ValueError, match=message):
        MultiView(layout).read("sample_0000")


def test_sixteen_bits_are_read(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, SIDE * SIDE).reshape(SIDE, SIDE)
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "height.png")
    np.testing.assert_allclose(read_grey(tmp_path / "height.png"), values / 65535, atol=1e-4)


def test_a_black_normal_map_and_a_huge_view_are_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "normal.png", np.zeros((3, SIDE, SIDE)))
    with pytest.raises(ValueError, match="no normal map: 0% of its vectors"):
        read_normal(tmp_path / "normal.png")
    for number in range(3):
        a_header_alone(tmp_path / f"{number}.png", 30_000, 20_000)
    (tmp_path / "normal.png").unlink()
    with pytest.raises(ValueError, match=r"has over .* pixels, expected 16 to 8192"):
        views_of(tmp_path)


def test_a_split_is_by_material() -> None:
    names = [f"m{i}" for i in range(100)]
    train, held_out = split(names * 2, 0.1, seed=42)
    assert sorted([*train, *held_out]) == sorted(names) and 3 <= len(held_out) <= 20
    assert set(split([*names, "new"], 0.1, seed=42)[0]) - {"new"} == set(train)
    assert len(split(["a", "b"], 0.001, seed=0)[1]) == 1
    with pytest.raises(ValueError, match="1 materials: expected at least 2"):
        split(["a", "a"], 0.1, seed=0)
