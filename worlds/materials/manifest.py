"""Materials and view sets as assets: folders of PNGs with a manifest.json that says what is in them. Without torch and
NumPy: the gateway checks too.

    material    basecolor, roughness, metallic, normal; ao, height where they are known; what a job adds to them
    view-set    0.png, 1.png, 2.png: three views of a surface; poses.json where it is known from where
    diffuse     diffuse.png: one texture of it; normal.png where it is known
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from terrarium.worlds.durable import write_text
from terrarium.worlds.json_file import read_object
from terrarium.worlds.materials.checks import (
    VIEWS,
    check_colour,
    check_grey,
    check_normal,
    check_poses,
    open_views,
    opened,
    size_of,
)
from terrarium.worlds.materials.kinds import LONGEST_VIEW

FORMAT_VERSION = 1
MATERIAL, VIEW_SET, DIFFUSE = "material", "view-set", "diffuse"
CHECKS = {
    "basecolor": check_colour,
    "roughness": check_grey,
    "metallic": check_grey,
    "normal": check_normal,
    "ao": check_grey,
    "height": check_grey,
}
REQUIRED = ("basecolor", "roughness", "metallic", "normal")
VIEW_FILES = tuple(f"{number}.png" for number in range(VIEWS))
DIFFUSE_FILES = ("diffuse.png", "normal.png")  # the second where it is known
LONGEST_MAP = 4096  # pixels along a side


def describe_material(folder: Path, more: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Writes the manifest.json of a folder of maps, which says `more` besides. ValueError says which map is missing or
    wrong."""
    write_text(folder / "manifest.json", json.dumps(facts_of_material(folder) | dict(more), indent=1))


def check_material(folder: Path) -> None:
    """ValueError where a map is not as it should be, or not what the manifest describes."""
    compare(folder, facts_of_material(folder))


def describe_views(folder: Path) -> None:
    """Writes the manifest.json of a folder of views. ValueError says what is wrong with them."""
    write_text(folder / "manifest.json", json.dumps(_facts_of_views(folder), indent=1))


def check_view_set(folder: Path) -> None:
    """ValueError where the views are not three different pictures of one size, or not what the manifest describes."""
    compare(folder, _facts_of_views(folder))


def describe_diffuse(folder: Path) -> None:
    """Writes the manifest.json of a folder with a diffuse texture. ValueError says what is wrong with it."""
    write_text(folder / "manifest.json", json.dumps(_facts_of_diffuse(folder), indent=1))


def check_diffuse(folder: Path) -> None:
    """ValueError where the texture or its normals are not as they should be, or not what the manifest describes."""
    compare(folder, _facts_of_diffuse(folder))


def facts_of_material(folder: Path) -> dict[str, Any]:
    """What a manifest says of a folder of maps. ValueError says which map is missing or wrong."""
    for name in REQUIRED:
        if not (folder / f"{name}.png").is_file():
            raise ValueError(f"{folder} has no {name}.png: expected {', '.join(REQUIRED)}")
    size = size_of(folder / "basecolor.png", longest=LONGEST_MAP)
    if size[0] != size[1]:
        raise ValueError(f"{folder / 'basecolor.png'} has {size[0]} x {size[1]} pixels, expected a square")
    files = {}
    for name, check in CHECKS.items():
        file = folder / f"{name}.png"
        if file.is_file():
            with opened(file, size, longest=LONGEST_MAP) as image:
                check(image, file)
            files[file.name] = file_sha256(file)
    return {
        "format_version": FORMAT_VERSION,
        "kind": MATERIAL,
        "size": size[0],
        "normals": "OpenGL, y up",
        "files": files,
    }


def _facts_of_views(folder: Path) -> dict[str, Any]:
    files = [folder / name for name in VIEW_FILES if (folder / name).is_file()]
    if len(files) != VIEWS:
        names = ", ".join(file.name for file in files) or "none"
        raise ValueError(f"{folder} holds {len(files)} views ({names}), expected {', '.join(VIEW_FILES)}")
    side = open_views(files, longest=LONGEST_VIEW)[0].width
    poses = folder / "poses.json"
    if poses.is_file():
        check_poses(read_object(poses).get("poses"), f"{poses}: poses")
        files.append(poses)
    return {
        "format_version": FORMAT_VERSION,
        "kind": VIEW_SET,
        "size": side,
        "poses": poses.is_file(),
        "files": {file.name: file_sha256(file) for file in files},
    }


def _facts_of_diffuse(folder: Path) -> dict[str, Any]:
    files = [folder / name for name in DIFFUSE_FILES if (folder / name).is_file()]
    image = open_views([folder / DIFFUSE_FILES[0]], longest=LONGEST_VIEW)[0]
    if normal := files[1:]:
        with opened(normal[0], image.size, longest=LONGEST_VIEW) as found:
            check_normal(found, normal[0])
    return {
        "format_version": FORMAT_VERSION,
        "kind": DIFFUSE,
        "size": image.width,
        "normal": bool(normal),
        "files": {file.name: file_sha256(file) for file in files},
    }


def compare(folder: Path, facts: dict[str, Any]) -> None:
    """ValueError where the folder's manifest.json says otherwise than these facts of its files."""
    manifest = read_object(folder / "manifest.json")
    for name, found in facts.items():
        if manifest.get(name) != found:
            raise ValueError(f"manifest.json: {name} {str(manifest.get(name))[:80]}, the files have {str(found)[:80]}")


def file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
