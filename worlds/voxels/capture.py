"""Capture sets: pictures of a world with exact cameras, metadata.json beside PNGs. Written, read and checked.

World coordinates are the map viewer's: ((x - sx / 2) s, y s, (z - sz / 2) s) for a map of sx x sy x sz blocks and a
scale of s; right-handed, y up, a camera looks along its -z. Matrices are column-major, clip z in [-1, 1] as in OpenGL.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from math import asin, atan2, degrees, radians, tan
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, Lt, MinLen
from PIL import Image
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from terrarium.worlds.durable import new_folder
from terrarium.worlds.json_file import checked, read_object
from terrarium.worlds.voxels.camera import Camera
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.guidance.base import View

FORMAT_VERSION = "1.0"
NEAR, FAR = 0.1, 500.0
SCALE = 2.0  # world units a block, where a set does not say
CLOSE = 1e-3  # of matrices to what follows from a view's position and axes
Vector = Annotated[list[float], MinLen(3)]
Matrix = Annotated[list[float], MinLen(16)]


class _ImageSize(TypedDict):
    width: Annotated[int, Ge(1), Le(4096)]
    height: Annotated[int, Ge(1), Le(4096)]


class _Intrinsics(TypedDict):
    fovYDegrees: Annotated[float, Gt(0), Lt(180)]
    aspect: Annotated[float, Gt(0)]
    near: Annotated[float, Gt(0)]
    far: Annotated[float, Gt(0)]


class _View(TypedDict):
    id: str
    position: Vector
    forward: Vector
    up: Vector
    right: Vector
    intrinsics: _Intrinsics
    viewMatrix: Matrix
    projectionMatrix: Matrix
    viewProjectionMatrix: Matrix
    rgbPath: str


class _Set(TypedDict):
    formatVersion: str
    imageSize: _ImageSize
    views: Annotated[list[_View], MinLen(1)]


SET = TypeAdapter(_Set)


@dataclass(frozen=True, eq=False)
class Capture:
    """`pictures` float32 [N, H, W, 3] in [0, 1], taken by `views`, whose cameras are in blocks from a map's corner."""

    views: list[View]
    pictures: np.ndarray


def read_capture(folder: Path, shape: Shape) -> Capture:
    """The set of a world of `shape`. ValueError names the view, and what was expected of it."""
    file = folder / "metadata.json"
    data = read_object(file)
    said = checked(data, SET, file)
    if said["formatVersion"] != FORMAT_VERSION:
        raise ValueError(f"{file}: formatVersion {said['formatVersion']!r}, expected {FORMAT_VERSION!r}")
    scale = _scale(data.get("world", {}), shape, file)
    size = said["imageSize"]["width"], said["imageSize"]["height"]
    views, pictures = [], []
    for number, entry in enumerate(said["views"]):
        try:
            camera = _camera(entry, *size, shape, scale)
            pictures.append(_picture(folder, entry["rgbPath"], size))
        except ValueError as e:
            raise ValueError(f"{file}: view {number} ({entry['id']}): {e}") from None
        views.append(view_of(camera, number))
    return Capture(views, np.stack(pictures))


def write_capture(folder: Path, capture: Capture, shape: Shape, scale: float = SCALE) -> None:
    """Replaces `folder` by the set of a world of `shape`."""
    height, width = capture.pictures.shape[1:3]
    now = datetime.now(UTC).isoformat()
    with new_folder(folder) as draft:
        entries = []
        for view, picture in zip(capture.views, capture.pictures, strict=True):
            name = f"rgb_{view.number:04d}.png"
            Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(draft / name)
            entries.append(_entry(view, shape, scale) | {"capturedAt": now, "rgbPath": name})
        metadata = {
            "formatVersion": FORMAT_VERSION,
            "exportedAt": now,
            "imageSize": {"width": width, "height": height},
            "viewCount": len(entries),
            "captureId": str(uuid.uuid4()),
            "world": {"dimensions": dict(zip("xyz", shape, strict=True)), "worldScale": scale},
            "views": entries,
        }
        (draft / "metadata.json").write_text(json.dumps(metadata, indent=1))


def view_of(camera: Camera, number: int) -> View:
    """With the angles from which the camera looks."""
    x, y, z = (float(v) for v in -camera.axes[2])
    return View(camera, number, degrees(atan2(x, z)) % 360, degrees(asin(max(-1.0, min(1.0, y)))))


def matrices(
    position: np.ndarray, axes: np.ndarray, fovy_deg: float, aspect: float, near: float, far: float
) -> dict[str, np.ndarray]:
    """{name in metadata.json: float64 [4, 4]} of a camera; `axes` holds right, up and forward as rows."""
    view, projection = np.eye(4), np.zeros((4, 4))
    view[:3, :3] = axes * [[1], [1], [-1]]
    view[:3, 3] = -view[:3, :3] @ position
    f = 1 / tan(radians(fovy_deg) / 2)
    projection[0, 0], projection[1, 1] = f / aspect, f
    projection[2, 2], projection[2, 3] = (far + near) / (near - far), 2 * far * near / (near - far)
    projection[3, 2] = -1
    return {"viewMatrix": view, "projectionMatrix": projection, "viewProjectionMatrix": projection @ view}


def _entry(view: View, shape: Shape, scale: float) -> dict[str, Any]:
    camera = view.camera
    position = (np.array(camera.eye) - _origin(shape)) * scale
    aspect = camera.width / camera.height
    found = matrices(position, camera.axes, camera.fovy_deg, aspect, NEAR, FAR)
    right, up, forward = camera.axes.tolist()
    return {
        "id": f"view-{view.number:04d}",
        "index": view.number,
        "position": position.tolist(),
        "forward": forward,
        "up": up,
        "right": right,
        "intrinsics": {"fovYDegrees": camera.fovy_deg, "aspect": aspect, "near": NEAR, "far": FAR},
        **{name: matrix.T.ravel().tolist() for name, matrix in found.items()},
        "depthPath": None,
        "normalPath": None,
    }


def _camera(entry: _View, width: int, height: int, shape: Shape, scale: float) -> Camera:
    position, lens = np.array(entry["position"]), entry["intrinsics"]
    axes = np.array([entry["right"], entry["up"], entry["forward"]])
    if abs(lens["aspect"] - width / height) > CLOSE:
        raise ValueError(f"aspect {lens['aspect']}: expected {width / height:.4f}, that of {width} x {height} pixels")
    expected = matrices(position, axes, lens["fovYDegrees"], lens["aspect"], lens["near"], lens["far"])
    for name, matrix in expected.items():
        given = np.array(entry[name]).reshape(4, 4).T  # type: ignore[literal-required]
        off = np.abs(given - matrix) > CLOSE * np.maximum(1, np.abs(matrix))
        if off.any():
            row, column = (int(v) for v in np.argwhere(off)[0])
            raise ValueError(
                f"{name} does not match its position and axes: row {row}, column {column} is "
                f"{given[row, column]:.6g}, expected {matrix[row, column]:.6g}"
            )
    x, y, z = (float(v) for v in position / scale + _origin(shape))
    return Camera((x, y, z), axes, width, height, lens["fovYDegrees"])


def _origin(shape: Shape) -> np.ndarray:
    """Where the world's origin is, in blocks from the map's corner."""
    return np.array([shape[0] / 2, 0.0, shape[2] / 2])


def _scale(world: Any, shape: Shape, file: Path) -> float:
    """World units a block. ValueError where the set is of a world of another size."""
    try:
        scale = float(world.get("worldScale", SCALE))
        size = [int(world["dimensions"][axis]) for axis in "xyz"] if "dimensions" in world else list(shape)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"{file}: world {world!r}: expected worldScale, and dimensions x, y and z") from None
    if size != list(shape):
        raise ValueError(f"{file}: pictures of a world of {size} blocks, expected {list(shape)}")
    if not scale > 0:
        raise ValueError(f"{file}: worldScale {scale}, expected more than 0")
    return scale


def _picture(folder: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"rgbPath {name!r} is not there: expected a file in {folder}")
    try:
        with Image.open(path) as image:
            found, picture = image.size, np.asarray(image.convert("RGB"))
    except OSError as e:
        raise ValueError(f"{name} is no picture: {e}") from None
    if found != size:
        raise ValueError(f"{name} has {found[0]} x {found[1]} pixels, imageSize says {size[0]} x {size[1]}")
    return picture.astype(np.float32) / 255
