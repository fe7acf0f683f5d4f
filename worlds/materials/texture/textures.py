"""Textures with their maps, read from disk in either layout (layouts.py).

Where there is no diffuse it is synthesised of the maps, the same each time, and the sample counts as synthetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.materials.checks import size_of
from terrarium.worlds.materials.files import read_colour, read_grey, read_normal
from terrarium.worlds.materials.manifest import REQUIRED
from terrarium.worlds.materials.matsynth import category_of, read_maps
from terrarium.worlds.materials.texture.layouts import Listing, list_textures
from terrarium.worlds.materials.texture.sample import AO, CHANNELS, DIFFUSE, HEIGHT, LABEL, UNKNOWN
from terrarium.worlds.materials.texture.sunlit import sunlit

MAPS = slice(0, 8)


class Textures(Listing):
    """Those of a folder, read one by one."""

    def synthetic(self, name: str) -> bool:
        return not self.file(name, "diffuse").is_file()

    def category(self, name: str) -> str | None:
        return category_of(self.folder / name) if self.layout == "matsynth" else None

    def categories(self) -> tuple[str, ...]:
        return tuple(sorted({found for name in self.names if (found := self.category(name)) is not None}))

    def read(self, name: str, classes: Sequence[str] = ()) -> Tensor:
        """A sample [14, H, W]. ValueError names the first file that is missing or wrong."""
        size = size_of(self.file(name, "basecolor"))
        x = torch.full((CHANNELS, size[1], size[0]), UNKNOWN)
        x[MAPS] = torch.from_numpy(self._maps(name, size))
        for at, names in ((AO, ("ao",)), (HEIGHT, ("height", "displacement", "parallax"))):
            for what in names:
                if (file := self.file(name, what)).is_file():
                    x[at] = torch.from_numpy(read_grey(file, size))
                    break
        if (category := self.category(name)) in classes:
            x[LABEL] = float(list(classes).index(str(category)))
        if self.synthetic(name):
            return sunlit(x, rng_of(name))
        x[DIFFUSE] = torch.from_numpy(read_colour(self.file(name, "diffuse"), size))
        return x

    def _maps(self, name: str, size: tuple[int, int]) -> np.ndarray:
        if self.layout == "matsynth":
            return read_maps(self.folder / name)
        for what in REQUIRED:
            if not self.file(name, what).is_file():
                raise ValueError(f"{self.folder} has no {name}_{what}.png: expected {', '.join(REQUIRED)} of {name}")
        grey = [read_grey(self.file(name, what), size)[None] for what in ("roughness", "metallic")]
        colour, normal = read_colour(self.file(name, "basecolor"), size), read_normal(self.file(name, "normal"), size)
        return np.concatenate([colour, *grey, normal])


def open_textures(folder: Path) -> Textures:
    """ValueError where the folder has neither layout."""
    found = list_textures(folder)
    return Textures(found.folder, found.layout, found.names)


def rng_of(name: str) -> np.random.Generator:
    """The same for the same texture."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def listing_sha256(folder: Path) -> str:
    """Of the names and sizes of all pictures: what a run's state was made from."""
    files = sorted(file for file in folder.rglob("*.png") if file.is_file())
    lines = [f"{file.relative_to(folder).as_posix()} {file.stat().st_size}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
