"""Materials of one's own: folders of maps, as an asset `material` is or as MatSynth's layout has them, or folders of
such folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from terrarium.worlds.materials.manifest import REQUIRED, facts_of_material
from terrarium.worlds.materials.maps import smaller
from terrarium.worlds.materials.matsynth import read_maps


@dataclass(frozen=True)
class OwnMaterial:
    """`name` is the start of the hash of its four maps, so a split by name is the same wherever the folder lies."""

    name: str
    folder: Path

    def read(self, size: int) -> Tensor:
        """Its maps float32 [8, size, size], made smaller by area."""
        return smaller(torch.from_numpy(read_maps(self.folder)), size)


def own_materials(given: Sequence[str], size: int) -> list[OwnMaterial]:
    """Of `given` folders. ValueError, before anything is rendered, for one that lacks a map or has one that is wrong or
    of fewer than `size` pixels a side, for the same maps twice, and for fewer than two materials."""
    found: dict[str, Path] = {}
    for folder in (each for path in given for each in _folders(Path(path))):
        facts = facts_of_material(folder)
        if facts["size"] < size:
            raise ValueError(f"{folder} has maps of {facts['size']} pixels a side, expected {size} or more, as `size`")
        hashes = "".join(facts["files"][f"{name}.png"] for name in REQUIRED)
        name = hashlib.sha256(hashes.encode()).hexdigest()[:16]
        if name in found:
            raise ValueError(f"{folder} has the same maps as {found[name]}, expected different materials")
        found[name] = folder
    if len(found) < 2:
        told = ", ".join(map(str, found.values()))
        raise ValueError(f"{len(found)} material ({told}): expected at least 2, one of them to be held out")
    return [OwnMaterial(name, folder) for name, folder in found.items()]


def _folders(path: Path) -> Iterator[Path]:
    """The folder itself, or, where it holds no pictures, those in it."""
    inner = [] if any(path.glob("*.png")) else sorted(each for each in path.glob("[!.]*") if each.is_dir())
    yield from inner or [path]
