"""Capture sets come back as they were written; what is wrong with one is said of its view."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.voxels.camera import orbit
from terrarium.worlds.voxels.capture import open_capture, read_capture, write_capture
from terrarium.worlds.voxels.guidance.target import take
from terrarium.worlds.voxels.metadata import check_capture, describe_capture
from terrarium.worlds.voxels.world import shape_of

SHAPE = (16, 16, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_capture(tmp_path / "set", take(structure(3).blocks, 3, 24), SHAPE)
    return tmp_path / "set"


def test_what_was_written_is_read(folder: Path) -> None:
    taken, read = take(structure(3).blocks, 3, 24), read_capture(folder, SHAPE)
    np.testing.assert_allclose(read.pictures, taken.pictures, atol=0.5 / 255 + 1e-6)
    assert read.depths is not None and read.normals is not None
    np.testing.assert_allclose(read.depths, taken.depths, atol=0.5 * 0.01 / 2 + 1e-5)  # half a level, 2 units a block
    np.testing.assert_allclose(read.normals, taken.normals, atol=1e-6)
    assert (read.depths == 0).any() and set(np.unique(np.abs(read.normals))) == {0, 1}
    for one, other in zip(read.views, taken.views, strict=True):
        np.testing.assert_allclose(one.camera.eye, other.camera.eye, atol=1e-9)
        np.testing.assert_allclose(one.camera.axes, other.camera.axes, atol=1e-12)
        assert (one.azimuth_deg, one.elevation_deg) == pytest.approx((other.azimuth_deg, other.elevation_deg))


def test_a_set_may_lack_depth_and_normals_and_say_no_size(folder: Path) -> None:
    data = json.loads((folder / "metadata.json").read_text())
    del data["world"], data["depthScale"]
    for view in data["views"]:
        view["depthPath"] = None
        del view["normalPath"]
    (folder / "metadata.json").write_text(json.dumps(data))
    describe_capture(folder)
    read = open_capture(folder)
    assert read.depths is None and read.normals is None and len(read.views) == 3
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["depth"], manifest["normals"], manifest["image"]) == (False, False, [24, 24])
    assert "size" not in manifest and shape_of(folder) is None


def test_a_set_as_it_was_taken_is_an_asset(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["kind"], manifest["views"], manifest["size"]) == ("capture-set", 3, [16, 16, 16])
    assert manifest["depth"] and manifest["normals"] and len(manifest["files"]) == 10
    open_capture(folder)
    assert shape_of(folder) == SHAPE
    Image.new("RGB", (24, 24)).save(folder / "rgb_0001.png")
    with pytest.raises(ValueError, match=r"manifest.json: files .*the set has"):
        check_capture(folder)


def test_matrices_take_a_point_to_its_pixel(folder: Path) -> None:
    """The middle of the world is in the middle of each picture, in front of the camera; matrices are column-major."""
    for view in json.loads((folder / "metadata.json").read_text())["views"]:
        matrix = np.array(view["viewProjectionMatrix"]).reshape(4, 4).T
        x, y, z, w = matrix @ [0, 16, 0, 1]
        assert w > 0 and abs(x / w) < 1e-9 and abs(y / w) < 1e-9 and -1 < z / w < 1
        assert np.array(view["viewMatrix"]).reshape(4, 4)[3, 3] == 1


def test_angles_are_those_of_the_orbit(folder: Path) -> None:
    view = read_capture(folder, SHAPE).views[1]
    camera = orbit(SHAPE, view.azimuth_deg, view.elevation_deg, 24, 24)
    np.testing.assert_allclose(camera.eye, view.camera.eye, atol=1e-9)


def of_view(number: int, **fields: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        data = json.loads((folder / "metadata.json").read_text())
        data["views"][number] |= fields
        (folder / "metadata.json").write_text(json.dumps(data))

    return spoil


def with_a_small_picture(folder: Path) -> None:
    Image.new("RGB", (8, 9)).save(folder / "rgb_0001.png")


def with_a_coloured_depth(folder: Path) -> None:
    Image.new("RGB", (24, 24)).save(folder / "depth_0002.png")


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "moved": (of_view(1, position=[0, 0, 0]), r"view 1 \(view-0001\): viewMatrix does not match its position and axes"),
    "other lens": (
        of_view(2, intrinsics={"fovYDegrees": 50, "aspect": 1, "near": 0.1, "far": 500}),
        r"view 2 .*projectionMatrix does not match",
    ),
    "other aspect": (
        of_view(0, intrinsics={"fovYDegrees": 60, "aspect": 2, "near": 0.1, "far": 500}),
        r"view 0 .*aspect 2.0: expected 1.0000",
    ),
    "no picture": (lambda folder: (folder / "rgb_0002.png").unlink(), r"view 2 .*rgbPath 'rgb_0002.png' is not there"),
    "elsewhere": (of_view(0, rgbPath="../x.png"), r"view 0 .*rgbPath '../x.png' is not there"),
    "other size": (with_a_small_picture, r"view 1 .*has 8 x 9 pixels, imageSize says 24 x 24"),
    "no depth": (of_view(1, depthPath=None), r"view 1 .*depthPath is missing: the first view has one"),
    "lost normals": (of_view(1, normalPath="n.png"), r"view 1 .*normalPath 'n.png' is not there"),
    "coloured depth": (with_a_coloured_depth, r"view 2 .*depth_0002.png is a picture of mode RGB, expected one grey"),
    "no matrix": (of_view(1, viewMatrix=[1, 2]), r"views\.1\.viewMatrix"),
    "no JSON": (lambda folder: (folder / "metadata.json").write_text("["), "is not JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_names_the_view(folder: Path, name: str) -> None:
    spoil, says = BAD[name]
    spoil(folder)
    with pytest.raises(ValueError, match=says):
        read_capture(folder, SHAPE)


def test_pictures_of_another_world_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"\[16, 16, 16\] blocks, expected \[32, 32, 32\]"):
        read_capture(folder, (32, 32, 32))
