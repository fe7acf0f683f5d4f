"""Samples of three views in the layout of the prior art, with the poses that it lacks.

    input/clean/sample_0000/{0,1,2}.png     input/dirty/ likewise, where there is one
    output/<material>/{albedo,roughness,metallic,normal}.png
    render_metadata.json    {"sample_0000": "<material>", ...}
    poses.json              {"sample_0000": [[polar_deg, azimuth_deg, distance], three of them], ...}; may be missing

Without poses.json the views are taken as rectified already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from terrarium.worlds.durable import write_text
from terrarium.worlds.json_file import read_object
from terrarium.worlds.materials.checks import VIEWS, check_poses
from terrarium.worlds.materials.files import read_colour, read_grey, read_normal, read_views, write_picture
from terrarium.worlds.materials.maps import ALBEDO, NORMAL

OUTPUTS = ("albedo", "roughness", "metallic", "normal")
Kind = Literal["clean", "dirty"]
KINDS: tuple[Kind, ...] = ("clean", "dirty")


@dataclass(frozen=True, eq=False)
class Sample:
    """`views` float32 [3, 3, H, W] in sRGB, `maps` [8, H, W], `poses` [3, 3] or None where they are unknown."""

    name: str
    material: str
    views: np.ndarray
    maps: np.ndarray
    poses: np.ndarray | None


@dataclass(frozen=True)
class MultiView:
    """A folder of that layout; its lists are read once, its pictures when they are asked for."""

    folder: Path
    directx: bool = False

    @cached_property
    def materials(self) -> Mapping[str, str]:
        """{sample: its material}. ValueError for a folder whose metadata are missing or name what is not there."""
        file = self.folder / "render_metadata.json"
        if not file.is_file():
            raise ValueError(f"{file} is missing: expected the metadata that name each sample's material")
        found = read_object(file)
        for sample, name in found.items():
            if not _is_name(sample) or not isinstance(name, str) or not _is_name(name):
                raise ValueError(f"{file}: {sample!r}: {name!r}, expected names of folders")
            if not (self.folder / "output" / name).is_dir():
                raise ValueError(f"{file}: {sample} is of {name!r}, which is not in {self.folder / 'output'}")
        if not found:
            raise ValueError(f"{file} lists no sample")
        for kind in self.kinds:
            listed = {path.name for path in (self.folder / "input" / kind).iterdir() if path.is_dir()}
            if unlisted := sorted(listed - set(found)):
                raise ValueError(f"{file} does not list {unlisted[0]}, which is in input/{kind}")
            if absent := sorted(set(found) - listed):
                raise ValueError(f"{file} lists {absent[0]}, which is not in input/{kind}")
        return found

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """clean, dirty or both. ValueError where there is neither."""
        found = tuple(kind for kind in KINDS if (self.folder / "input" / kind).is_dir())
        if not found:
            raise ValueError(f"{self.folder} has neither input/clean nor input/dirty")
        return found

    @cached_property
    def poses(self) -> Mapping[str, np.ndarray] | None:
        file = self.folder / "poses.json"
        if not file.is_file():
            return None
        found = read_object(file)
        return {sample: poses_of(found.get(sample), f"{file}: {sample}") for sample in self.materials}

    def read(self, sample: str, kind: Kind = "clean") -> Sample:
        """ValueError names the file, and what was expected of it."""
        if sample not in self.materials:
            raise ValueError(f"{self.folder / 'render_metadata.json'} does not list {sample!r}")
        if kind not in self.kinds:
            raise ValueError(f"{self.folder} has no input/{kind}: expected {' or '.join(self.kinds)}")
        views = views_of(self.folder / "input" / kind / sample)
        maps = self._maps(self.folder / "output" / self.materials[sample], views.shape[-1])
        return Sample(sample, self.materials[sample], views, maps, None if self.poses is None else self.poses[sample])

    def _maps(self, folder: Path, side: int) -> np.ndarray:
        for name in OUTPUTS:
            if not (folder / f"{name}.png").is_file():
                raise ValueError(f"{folder} has no {name}.png: expected {', '.join(OUTPUTS)}")
        size = (side, side)
        grey = [read_grey(folder / f"{name}.png", size)[None] for name in ("roughness", "metallic")]
        normal = read_normal(folder / "normal.png", size, directx=self.directx)
        return np.concatenate([read_colour(folder / "albedo.png", size), *grey, normal])


def lists_sha256(folder: Path) -> str:
    """Of the samples, their materials and their poses."""
    lists = [folder / name for name in ("render_metadata.json", "poses.json")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in lists if file.is_file())).hexdigest()


def views_of(folder: Path) -> np.ndarray:
    """The three views of a folder, [3, 3, H, W]. ValueError unless they are three different squares of one size."""
    files = sorted(folder.glob("*.png"))
    if len(files) != VIEWS:
        names = ", ".join(file.name for file in files) or "none"
        raise ValueError(f"{folder} holds {len(files)} views ({names}), expected exactly {VIEWS} PNGs")
    return read_views(files)


def write_sample(folder: Path, name: str, views: Mapping[Kind, np.ndarray]) -> None:
    """The views [3, 3, H, W] of each kind."""
    for kind, pictures in views.items():
        place = folder / "input" / kind / name
        place.mkdir(parents=True)
        for number, picture in enumerate(pictures):
            write_picture(place / f"{number}.png", picture)


def write_outputs(folder: Path, material: str, maps: np.ndarray) -> None:
    place = folder / "output" / material
    place.mkdir(parents=True)
    pixels = (maps[ALBEDO], maps[3], maps[4], 0.5 + 0.5 * maps[NORMAL])
    for name, picture in zip(OUTPUTS, pixels, strict=True):
        write_picture(place / f"{name}.png", picture)


def write_lists(folder: Path, materials: Mapping[str, str], poses: Mapping[str, np.ndarray]) -> None:
    write_text(folder / "render_metadata.json", json.dumps(dict(materials), indent=1))
    write_text(folder / "poses.json", json.dumps({name: each.tolist() for name, each in poses.items()}))


def poses_of(found: object, where: str) -> np.ndarray:
    """Three poses [3, 3] from JSON. ValueError names what is wrong with them."""
    return np.array(check_poses(found, where), np.float32)


def _is_name(name: str) -> bool:
    return bool(name) and name not in (".", "..") and "/" not in name and "\\" not in name and name.isprintable()
