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
from typing import Any

import numpy as np
from PIL import Image

from terrarium.worlds.durable import new_folder
from terrarium.worlds.voxels.camera import Camera
from terrarium.worlds.voxels.grid import Shape
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.metadata import (
    FORMAT_VERSION,
    KINDS,
    ViewEntry,
    check_capture,
    describe_capture,
    picture_file,
    read_metadata,
    size_of,
)

NEAR, FAR = 0.1, 500.0
SCALE = 2.0  # world units a block, where a set does not say
CLOSE = 1e-3  # of matrices to what follows from a view's position and axes
DEPTH_SCALE = 0.01  # world units a level of a depth picture, which has 16 bits: enough for FAR
NO_NORMAL, UNIT = 128, 127  # levels of a normal's component that is 0, and that 1 is away from it


@dataclass(frozen=True, eq=False)
class Capture:
    """`pictures` float32 [N, H, W, 3] in [0, 1], taken by `views`, whose cameras are in blocks from a map's corner.

    `depths` float32 [N, H, W], blocks along the ray, and `normals` float32 [N, H, W, 3], in the grid's axes, are 0
    where the sky is; None of a set without them.
    """

    views: list[View]
    pictures: np.ndarray
    depths: np.ndarray | None = None
    normals: np.ndarray | None = None


def read_capture(folder: Path, shape: Shape) -> Capture:
    """The set of a world of `shape`. ValueError names the view, and what was expected of it."""
    file, said = folder / "metadata.json", read_metadata(folder)
    scale = said.get("world", {}).get("worldScale", SCALE)
    if (found := size_of(said)) is not None and found != list(shape):
        raise ValueError(f"{file}: pictures of a world of {found} blocks, expected {list(shape)}")
    size = said["imageSize"]["width"], said["imageSize"]["height"]
    kinds = [kind for kind in KINDS if said["views"][0].get(kind)]
    levels: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    views = []
    for number, entry in enumerate(said["views"]):
        try:
            views.append(view_of(_camera(entry, *size, shape, scale), number))
            for kind in kinds:
                levels[kind].append(_levels(folder, kind, entry.get(kind), size))
        except ValueError as e:
            raise ValueError(f"{file}: view {number} ({entry['id']}): {e}") from None
    found_of = {kind: np.stack(parts).astype(np.float32) for kind, parts in levels.items()}
    depths, normals = found_of.get("depthPath"), found_of.get("normalPath")
    return Capture(
        views,
        found_of["rgbPath"] / 255,
        None if depths is None else depths * np.float32(said.get("depthScale", DEPTH_SCALE) / scale),
        None if normals is None else (normals - NO_NORMAL) / UNIT,
    )


def open_capture(folder: Path) -> Capture:
    """The set in the folder of an asset, with all its pictures. ValueError as of `read_capture`."""
    check_capture(folder)
    nx, ny, nz = size_of(read_metadata(folder)) or (1, 1, 1)  # where it does not say: anything but matrices is right
    return read_capture(folder, (nx, ny, nz))


def write_capture(folder: Path, capture: Capture, shape: Shape, scale: float = SCALE) -> None:
    """Replaces `folder` by the set of a world of `shape`."""
    height, width = capture.pictures.shape[1:3]
    now = datetime.now(UTC).isoformat()
    levels = {"rgbPath": np.round(capture.pictures * 255).astype(np.uint8)}
    if capture.depths is not None:
        levels["depthPath"] = np.round(capture.depths * (scale / DEPTH_SCALE)).clip(0, 2**16 - 1).astype(np.uint16)
    if capture.normals is not None:
        levels["normalPath"] = np.round(NO_NORMAL + UNIT * capture.normals).astype(np.uint8)
    with new_folder(folder) as draft:
        entries = []
        for i, view in enumerate(capture.views):
            names = dict.fromkeys(KINDS) | {
                kind: f"{kind.removesuffix('Path')}_{view.number:04d}.png" for kind in levels
            }
            for kind, pictures in levels.items():
                Image.fromarray(pictures[i]).save(draft / str(names[kind]))
            entries.append(_entry(view, shape, scale) | {"capturedAt": now} | names)
        metadata = {
            "formatVersion": FORMAT_VERSION,
            "exportedAt": now,
            "imageSize": {"width": width, "height": height},
            "viewCount": len(entries),
            "captureId": str(uuid.uuid4()),
            "depthScale": DEPTH_SCALE,
            "world": {"dimensions": dict(zip("xyz", shape, strict=True)), "worldScale": scale},
            "views": entries,
        }
        (draft / "metadata.json").write_text(json.dumps(metadata, indent=1))
        describe_capture(draft)


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
    }


def _camera(entry: ViewEntry, width: int, height: int, shape: Shape, scale: float) -> Camera:
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


def _levels(folder: Path, kind: str, name: str | None, size: tuple[int, int]) -> np.ndarray:
    """A picture as its file holds it: [H, W, 3] of 8 bits, of depth [H, W] of 16."""
    if not name:
        raise ValueError(f"{kind} is missing: the first view has one")
    path = picture_file(folder, kind, name)
    try:
        with Image.open(path, formats=("PNG",)) as image:
            found, mode = image.size, image.mode
            if found != size:  # before a pixel is decoded
                raise ValueError(f"{name} has {found[0]} x {found[1]} pixels, imageSize says {size[0]} x {size[1]}")
            levels = np.asarray(image if kind == "depthPath" else image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as e:  # Pillow raises the second for a broken PNG
        raise ValueError(f"{name} is no picture: {e}") from None
    if kind == "depthPath" and not mode.startswith("I"):
        raise ValueError(f"{name} is a picture of mode {mode}, expected one grey level of 16 bits a pixel")
    return levels
