"""A game's own texture files (Skyrim's) -> pairs as textures.py reads them:

    python -m terrarium.worlds.materials.texture.raw data/textures out/game

    pbr/**/NAME.dds or NAME_d.dds (albedo), NAME_n.dds, NAME_rmaos.dds (red roughness, green metallic, blue occlusion,
    alpha specular), NAME_p.dds (height) where there is one
    no_pbr/**/NAME.dds or NAME_d.dds: the diffuse of the same texture, baked; without one it is synthesised later

Normals are DirectX's there and OpenGL's here. Under 1,024 pixels a texture is left out, over 2,048 it is scaled down.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from terrarium.worlds.durable import new_folder
from terrarium.worlds.materials.checks import opened, size_of
from terrarium.worlds.materials.files import read_colour, read_grey, read_normal, write_picture

LEAST, MOST = 1024, 2048  # pixels of the shorter side
PACKED = ("roughness", "metallic", "ao", "specular")  # in the channels of NAME_rmaos.dds
OTHERS = ("_n", "_rmaos", "_p")
Maps = dict[str, np.ndarray]


def prepare(source: Path, out: Path, least: int = LEAST, most: int = MOST) -> dict[str, list[str]]:
    """Writes the pairs into `out`, which is replaced -> {"prepared", "too_small": names}. ValueError names the first
    file that is missing or wrong."""
    albedos = [file for file in sorted((source / "pbr").rglob("*.dds")) if not file.stem.endswith(OTHERS)]
    if not albedos:
        raise ValueError(f"{source} has no pbr/**/NAME.dds: expected a game's textures below pbr/ and no_pbr/")
    told: dict[str, list[str]] = {"prepared": [], "too_small": []}
    with new_folder(out) as draft:
        for albedo in albedos:
            place = albedo.parent.relative_to(source / "pbr") / albedo.stem.removesuffix("_d")
            name = "__".join(place.parts)
            if min(size_of(albedo)) < least:
                told["too_small"].append(name)
                continue
            for what, pixels in fitted(maps_of(source, albedo, place), most).items():
                write_picture(draft / f"{name}_{what}.png", pixels)
            told["prepared"].append(name)
        if not told["prepared"]:
            raise ValueError(f"{source}: all {len(albedos)} textures are below {least} pixels")
    return told


def maps_of(source: Path, albedo: Path, place: Path) -> Maps:
    """As stored, but for normals, which are unit vectors, y up."""
    size = size_of(albedo)
    beside = albedo.parent / place.name
    maps: Maps = {"basecolor": read_colour(albedo, size)}
    maps["normal"] = read_normal(beside.with_name(f"{place.name}_n.dds"), size, directx=True)
    with opened(beside.with_name(f"{place.name}_rmaos.dds"), size) as image:
        if image.mode != "RGBA":
            raise ValueError(f"{beside}_rmaos.dds: pixels of mode {image.mode}, expected RGBA: {', '.join(PACKED)}")
        packed = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    maps |= dict(zip(PACKED, packed, strict=True))
    if (height := beside.with_name(f"{place.name}_p.dds")).is_file():
        maps["parallax"] = read_grey(height, size)
    for ending in ("", "_d"):
        if (diffuse := source / "no_pbr" / place.parent / f"{place.name}{ending}.dds").is_file():
            maps["diffuse"] = resized(read_colour(diffuse), size)
    return maps


def fitted(maps: Maps, most: int) -> Maps:
    """Scaled down where the shorter side is longer than `most`, and as pictures store them."""
    columns, rows = maps["basecolor"].shape[-1], maps["basecolor"].shape[-2]
    share = min(1.0, most / min(rows, columns))
    small = {what: resized(x, (round(share * columns), round(share * rows))) for what, x in maps.items()}
    normal = small["normal"] / np.maximum(np.linalg.norm(small["normal"], axis=0), 1e-6)
    return small | {"normal": 0.5 + 0.5 * normal}


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[C, H, W] or [H, W] to `size` (W, H), by area where it shrinks."""
    if x.shape[-2:] == (size[1], size[0]):
        return x
    flat = torch.from_numpy(x).view(1, -1, *x.shape[-2:])
    return F.interpolate(flat, (size[1], size[0]), mode="area").view(*x.shape[:-2], size[1], size[0]).numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with pbr/ and perhaps no_pbr/")
    parser.add_argument("out", type=Path, help="folder for the pairs; replaced")
    args = parser.parse_args()
    found = prepare(args.source, args.out)
    print(len(found["prepared"]), "textures,", len(found["too_small"]), f"below {LEAST} pixels left out")
