"""metadata.json of a capture set, and a capture set as an asset: a folder with it, its pictures, and a manifest.json
that says what is in it. Without torch and NumPy: the gateway checks too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from struct import unpack
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from terrarium.worlds.durable import write_text
from terrarium.worlds.json_file import checked, read_object

FORMAT_VERSION = "1.0"
MANIFEST_VERSION = 1
TYPE = "capture-set"
Kind = Literal["rgbPath", "depthPath", "normalPath"]  # of pictures that a view names; only the first must be there
KINDS: tuple[Kind, ...] = ("rgbPath", "depthPath", "normalPath")
PNG = b"\x89PNG\r\n\x1a\n"
Vector = Annotated[list[float], MinLen(3), MaxLen(3)]
Matrix = Annotated[list[float], MinLen(16), MaxLen(16)]
Side = Annotated[int, Ge(1), Le(4096)]
Blocks = Annotated[int, Ge(1), Le(4096)]


class ImageSize(TypedDict):
    width: Side
    height: Side


class Intrinsics(TypedDict):
    fovYDegrees: Annotated[float, Gt(0), Lt(180)]
    aspect: Annotated[float, Gt(0)]
    near: Annotated[float, Gt(0)]
    far: Annotated[float, Gt(0)]


class ViewEntry(TypedDict):
    id: str
    position: Vector
    forward: Vector
    up: Vector
    right: Vector
    intrinsics: Intrinsics
    viewMatrix: Matrix
    projectionMatrix: Matrix
    viewProjectionMatrix: Matrix
    rgbPath: str
    depthPath: NotRequired[str | None]
    normalPath: NotRequired[str | None]


class Dimensions(TypedDict):
    x: Blocks
    y: Blocks
    z: Blocks


class World(TypedDict, total=False):
    dimensions: Dimensions
    worldScale: Annotated[float, Gt(0)]


class Metadata(TypedDict):
    formatVersion: str
    imageSize: ImageSize
    world: NotRequired[World]
    depthScale: NotRequired[Annotated[float, Gt(0)]]
    views: Annotated[list[ViewEntry], MinLen(1), MaxLen(10_000)]


SCHEMA = TypeAdapter(Metadata)


def read_metadata(folder: Path) -> Metadata:
    """ValueError names the field that is missing or wrong."""
    file = folder / "metadata.json"
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    said = checked(read_object(file), SCHEMA, file)
    if said["formatVersion"] != FORMAT_VERSION:
        raise ValueError(f"{file}: formatVersion {said['formatVersion']!r}, expected {FORMAT_VERSION!r}")
    return said


def size_of(said: Metadata) -> list[int] | None:
    """Blocks along x, y and z of the world that was captured, where the set says so."""
    dimensions = said.get("world", {}).get("dimensions")
    return None if dimensions is None else [dimensions["x"], dimensions["y"], dimensions["z"]]


def describe_capture(folder: Path) -> None:
    """Writes the manifest.json of a capture set that has none. ValueError says what is wrong with the set."""
    write_text(folder / "manifest.json", json.dumps(_facts(folder), indent=1))


def check_capture(folder: Path) -> None:
    """ValueError where metadata.json or a picture is not as it should be, or not what the manifest describes."""
    manifest = read_object(folder / "manifest.json")
    for name, found in _facts(folder).items():
        if manifest.get(name) != found:
            raise ValueError(f"manifest.json: {name} {str(manifest.get(name))[:80]}, the set has {str(found)[:80]}")


def _facts(folder: Path) -> dict[str, Any]:
    said = read_metadata(folder)
    size, files = said["imageSize"], {"metadata.json": _sha256(folder / "metadata.json")}
    for number, view in enumerate(said["views"]):
        try:
            for kind in KINDS:
                if name := view.get(kind):
                    path = picture_file(folder, kind, name)
                    _check_size(path, size["width"], size["height"])
                    files[name] = _sha256(path)
        except ValueError as e:
            raise ValueError(f"{folder / 'metadata.json'}: view {number} ({view['id']}): {e}") from None
    blocks = size_of(said)
    return {
        "format_version": MANIFEST_VERSION,
        "kind": TYPE,
        "views": len(said["views"]),
        "image": [size["width"], size["height"]],
        "depth": all(view.get("depthPath") for view in said["views"]),
        "normals": all(view.get("normalPath") for view in said["views"]),
        "files": files,
    } | ({} if blocks is None else {"size": blocks})


def picture_file(folder: Path, kind: str, name: str) -> Path:
    """The file in the set's folder that a view's `kind` (of KINDS) names."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"{kind} {name!r} is not there: expected a file in {folder}")
    return path


def _check_size(path: Path, width: int, height: int) -> None:
    with path.open("rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or not head.startswith(PNG):
        raise ValueError(f"{path.name} is no picture: expected a PNG")
    found = unpack(">II", head[16:24])
    if found != (width, height):
        raise ValueError(f"{path.name} has {found[0]} x {found[1]} pixels, imageSize says {width} x {height}")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
