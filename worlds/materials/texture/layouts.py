"""Where the maps of textures lie on disk, in either of two layouts. Without torch and NumPy: the gateway looks too.

MatSynth   a folder a material (matsynth.py): basecolor, roughness, metallic, normal; height or displacement, ao,
           diffuse and metadata.json where there are some
a game's   NAME_{basecolor,normal,roughness,metallic}.png; NAME_{diffuse,ao,parallax,specular}.png where there are
           some. raw.py prepares such a folder of a game's own files
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from terrarium.worlds.materials.manifest import REQUIRED

Layout = Literal["matsynth", "game"]


@dataclass(frozen=True, eq=False)
class Listing:
    """`names` are sorted."""

    folder: Path
    layout: Layout
    names: tuple[str, ...]

    def file(self, name: str, what: str) -> Path:
        """Of a map of a texture, there or not."""
        if self.layout == "matsynth":
            return self.folder / name / f"{what}.png"
        return self.folder / f"{name}_{what}.png"


def list_textures(folder: Path) -> Listing:
    """ValueError where the folder has neither layout."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there: expected a folder of textures")
    if found := sorted(file.parent.name for file in folder.glob("*/basecolor.png")):
        return Listing(folder, "matsynth", tuple(found))
    ending = "_basecolor.png"
    if found := sorted(file.name.removesuffix(ending) for file in folder.glob(f"*{ending}")):
        return Listing(folder, "game", tuple(found))
    raise ValueError(
        f"{folder} holds no textures: expected folders with {', '.join(REQUIRED)} as PNGs, or NAME{ending} and others"
    )
