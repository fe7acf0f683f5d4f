"""Materials in MatSynth's layout (Vecchio and Deschaintre 2024, arXiv:2401.06056): a folder for each material with
PNGs named after the columns of its hub: basecolor, roughness, metallic, normal, height, ... and metadata.json, which
holds its category.

Normals are OpenGL's there; `directx` says that a folder of one's own has them the other way up.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from terrarium.worlds.json_file import read_object
from terrarium.worlds.materials.checks import size_of
from terrarium.worlds.materials.files import read_colour, read_grey, read_normal, write_picture
from terrarium.worlds.materials.maps import ALBEDO, NORMAL, Material

REQUIRED = ("basecolor", "roughness", "metallic", "normal")


def list_materials(folder: Path) -> list[str]:
    """Names of its materials, sorted. ValueError where there is none."""
    names = sorted(path.parent.name for path in folder.glob("*/basecolor.png"))
    if not names:
        raise ValueError(f"{folder} holds no materials: expected folders with {', '.join(REQUIRED)} as PNGs")
    return names


def read_maps(folder: Path, *, directx: bool = False) -> np.ndarray:
    """The maps float32 [8, H, W] of one material's folder. ValueError names the first file that is missing or wrong."""
    for name in REQUIRED:
        if not (folder / f"{name}.png").is_file():
            raise ValueError(f"{folder} has no {name}.png: expected {', '.join(REQUIRED)}")
    size = size_of(folder / "basecolor.png")
    grey = [read_grey(folder / f"{name}.png", size)[None] for name in ("roughness", "metallic")]
    normal = read_normal(folder / "normal.png", size, directx=directx)
    return np.concatenate([read_colour(folder / "basecolor.png", size), *grey, normal])


def write_material(folder: Path, made: Material) -> None:
    """Into a folder that is there."""
    write_maps(folder, made.maps)
    write_picture(folder / "height.png", made.height)
    write_picture(folder / "ao.png", made.ao)


def category_of(folder: Path) -> str | None:
    """What the hub says a material is made of; None where its folder has no metadata.json that tells."""
    file = folder / "metadata.json"
    category = read_object(file).get("category") if file.is_file() else None
    return category if isinstance(category, str) else None


def write_category(folder: Path, category: str) -> None:
    (folder / "metadata.json").write_text(json.dumps({"category": category}))


def write_maps(folder: Path, maps: np.ndarray) -> None:
    """basecolor, roughness, metallic and normal of maps [8, H, W]."""
    write_picture(folder / "basecolor.png", maps[ALBEDO])
    write_picture(folder / "roughness.png", maps[3])
    write_picture(folder / "metallic.png", maps[4])
    write_picture(folder / "normal.png", 0.5 + 0.5 * maps[NORMAL])
