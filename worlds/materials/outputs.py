"""The folder of a material: its maps, the same packed as engines read them, a glTF material, and what it looks like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from terrarium.worlds.materials.brdf import COLUMNS, ROWS, Environment, directions, environment
from terrarium.worlds.materials.cameras import cameras
from terrarium.worlds.materials.colour import linear_to_srgb
from terrarium.worlds.materials.files import write_picture
from terrarium.worlds.materials.manifest import describe_material
from terrarium.worlds.materials.matsynth import write_maps
from terrarium.worlds.materials.render import HITS, Lights, Shape, render

SPECULAR = 0.5  # of an RMAOS map: the reflectance 0.04 of glTF's dielectrics
PREVIEW = 256  # pixels along a side
SHOWN: dict[Shape, tuple[tuple[float, float, float], float]] = {  # from where, and tiles along a side
    "sphere": ((70.0, 300.0, 4.5), 1.0),
    "cube": ((60.0, 300.0, 5.5), 1.0),
    "plane": ((35.0, 300.0, 4.0), 2.0),
}
LAMP, INTENSITY = (2.5, -1.5, 3.5), 45.0  # position, W/sr


def write_outputs(folder: Path, maps: np.ndarray, others: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Of maps [8, S, S] and `others` [S, S], which are ao, height or confidence; `facts` are added to the manifest.

    basecolor, roughness, metallic, normal, and `others`
    orm (ambient occlusion, roughness, metallic), rmaos (roughness, metallic, occlusion, specular)
    material.gltf, sphere, cube, plane, manifest.json
    """
    write_maps(folder, maps)
    for name, picture in others.items():
        write_picture(folder / f"{name}.png", picture)
    roughness, metallic = maps[3], maps[4]
    lit = others.get("ao", np.ones_like(roughness))
    write_picture(folder / "orm.png", np.stack([lit, roughness, metallic]))
    write_picture(folder / "rmaos.png", np.stack([roughness, metallic, lit, np.full_like(lit, SPECULAR)]))
    (folder / "material.gltf").write_text(json.dumps(GLTF, indent=1))
    for shape in SHOWN:
        preview(torch.from_numpy(maps), shape).save(folder / f"{shape}.png")
    describe_material(folder, facts)


def preview(maps: Tensor, shape: Shape) -> Image.Image:
    """Maps [8, S, S] on a lit shape; RGBA, transparent around it."""
    pose, tiles = SHOWN[shape]
    eye = cameras(torch.tensor([pose]))
    lights = Lights(torch.tensor([[LAMP]]), torch.full((1, 1, 3), INTENSITY), sky())
    radiance = render(maps[None], shape, eye, lights, 2 * PREVIEW, tiles)
    there = HITS[shape](*eye.rays(2 * PREVIEW)).there.movedim(-1, 1).float()
    seen = torch.cat([linear_to_srgb(radiance), there], dim=1)[0].permute(1, 2, 0).numpy()
    large = Image.fromarray(np.rint(255 * seen).astype(np.uint8))
    return large.resize((PREVIEW, PREVIEW), Image.Resampling.BOX)


def sky() -> Environment:
    """Soft light, brighter from above, with a window that metals reflect."""
    towards, _ = directions()
    window = (12 * (towards @ torch.tensor([-0.6, -0.3, 0.74]) - 1)).exp()
    radiance = 0.35 + 0.25 * towards[:, 2] + 1.5 * window
    return environment(radiance.view(1, 1, ROWS, COLUMNS).expand(1, 3, ROWS, COLUMNS).contiguous())


GLTF = {
    "asset": {"version": "2.0"},
    "images": [{"uri": f"{name}.png"} for name in ("basecolor", "orm", "normal")],
    "textures": [{"source": i} for i in range(3)],
    "materials": [
        {
            "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 1}},
            "occlusionTexture": {"index": 1},
            "normalTexture": {"index": 2},
        }
    ],
}
