"""A texture set as an asset: a folder in either of two layouts (layouts.py), and a manifest.json that says what is in
it. Without torch and NumPy: the gateway checks too.

All headers are read before any picture is decoded, then one picture at a time is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL.Image import Image

from terrarium.worlds.durable import write_text
from terrarium.worlds.json_file import read_object
from terrarium.worlds.materials.checks import check_colour, check_grey, check_normal, opened, size_of
from terrarium.worlds.materials.manifest import LONGEST_MAP, REQUIRED, compare, file_sha256
from terrarium.worlds.materials.texture.layouts import Listing, list_textures

FORMAT_VERSION = 1
TYPE = "texture-set"
MOST_PIXELS = 2**33  # of all pictures: three minutes of a core, which decodes one in 20 ns
CHECKS: dict[str, Callable[[Image, Path], None]] = {
    "basecolor": check_colour,
    "roughness": check_grey,
    "metallic": check_grey,
    "normal": check_normal,
    "diffuse": check_colour,
    "ao": check_grey,
    "height": check_grey,
    "displacement": check_grey,
    "parallax": check_grey,
    "specular": check_colour,
}


def describe_textures(folder: Path, more: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Writes the manifest.json of a folder of textures, which says `more` besides. ValueError says which picture is
    missing or wrong."""
    write_text(folder / "manifest.json", json.dumps(facts_of_textures(folder) | dict(more), indent=1))


def check_textures(folder: Path) -> None:
    """ValueError where a picture is not as it should be, or not what the manifest describes."""
    compare(folder, facts_of_textures(folder))


def facts_of_textures(folder: Path) -> dict[str, Any]:
    """What a manifest says of a folder of textures; `size` is the shortest side of any, in pixels. ValueError as of
    `describe_textures`."""
    listing = list_textures(folder)
    if len(listing.names) < 2:
        raise ValueError(f"{folder} holds 1 texture ({listing.names[0]}): expected at least 2, one of them held out")
    maps = _maps_of(listing)
    sizes = {name: size_of(files["basecolor"], longest=LONGEST_MAP) for name, files in maps.items()}
    pixels = sum(len(files) * sizes[name][0] * sizes[name][1] for name, files in maps.items())
    if pixels > MOST_PIXELS:
        raise ValueError(f"{folder} has {pixels} pixels in all pictures, expected at most {MOST_PIXELS}")
    for name, files in maps.items():
        for file in files.values():
            opened(file, sizes[name], decode=False, longest=LONGEST_MAP).close()
    for name, files in maps.items():
        for what, file in files.items():
            with opened(file, sizes[name], longest=LONGEST_MAP) as image:
                CHECKS[what](image, file)
    return {
        "format_version": FORMAT_VERSION,
        "kind": TYPE,
        "layout": listing.layout,
        "materials": len(listing.names),
        "size": min(min(size) for size in sizes.values()),
        "files_sha256": _files_sha256(folder),
    }


def _maps_of(listing: Listing) -> dict[str, dict[str, Path]]:
    """{texture: {map: its file}} of those that are there. ValueError for a texture that lacks one, for a picture that
    is of none, and for metadata that are no JSON."""
    maps = {
        name: {what: file for what in CHECKS if (file := listing.file(name, what)).is_file()} for name in listing.names
    }
    for name, files in maps.items():
        for what in REQUIRED:
            if what not in files:
                raise ValueError(f"{listing.file(name, what)} is missing: expected {', '.join(REQUIRED)} of {name}")
        if listing.layout == "matsynth" and (file := listing.folder / name / "metadata.json").is_file():
            read_object(file)
    used = {file for files in maps.values() for file in files.values()}
    if stray := sorted(set(listing.folder.rglob("*.png")) - used):
        expected = listing.file("NAME", "basecolor").relative_to(listing.folder)
        raise ValueError(f"{stray[0]} is a map of no texture: each has its {expected} in a set of this layout")
    return maps


def _files_sha256(folder: Path) -> str:
    """Of the names and contents of all pictures and metadata."""
    files = [*folder.rglob("*.png"), *folder.glob("*/metadata.json")]
    lines = [f"{file_sha256(file)} {file.relative_to(folder).as_posix()}" for file in sorted(files)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
