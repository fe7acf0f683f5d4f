"""Maps of a surface from pictures of it: any size, in tiles that overlap, written as a glTF material's files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.durable import new_folder
from terrarium.worlds.json_file import read_object
from terrarium.worlds.materials.data import part_of, part_poses
from terrarium.worlds.materials.files import write_picture
from terrarium.worlds.materials.maps import CHANNELS, NORMAL, unit
from terrarium.worlds.materials.matsynth import write_maps
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.multi_view import VIEWS, check_poses, stack_views
from terrarium.worlds.materials.photograph import rectified
from terrarium.worlds.materials.train import predict

TILE = 128  # pixels; with 64 and 256 the maps are as good, and 256 shows its borders (lab-notes.md)
OVERLAP = 32


def infer(model: MaterialNet, views: Tensor, poses: Tensor | None) -> Tensor:
    """Maps [8, S, S] of views [V, 3, S, S], at least 16 pixels a side, as they were taken from `poses` [V, 3]; None
    where those are unknown and the views show one square from nearly above."""
    flat = rectified(views[None], None if poses is None else poses[None])
    full = flat.shape[-1]
    padded = F.pad(flat[0], (0, -full % model.cell) * 2, mode="replicate")[None]
    side = min(TILE, padded.shape[-1])
    total, weight = torch.zeros(CHANNELS, *padded.shape[-2:]), torch.zeros(padded.shape[-2:])
    ramp = ramp_of(side, full=padded.shape[-1])
    for top in starts(padded.shape[-1], side):
        for left in starts(padded.shape[-1], side):
            seen = None if poses is None else part_poses(poses, full, top, left, side)[None]
            maps = predict(model, part_of(padded, top, left, side), seen)[0]
            part_of(total, top, left, side).add_(maps * ramp)
            part_of(weight, top, left, side).add_(ramp)
    found = total / weight
    found[NORMAL] = unit(found[NORMAL])
    return found[..., :full, :full]


def starts(full: int, side: int) -> list[int]:
    """Of tiles that cover `full` pixels, OVERLAP or more in common."""
    if full <= side:
        return [0]
    count = -(-(full - OVERLAP) // (side - OVERLAP))
    return [round(i * (full - side) / (count - 1)) for i in range(count)]


def ramp_of(side: int, full: int) -> Tensor:
    """Weights [side, side] of a tile's pixels, falling to its edges; even where one tile is all."""
    if full <= side:
        return torch.ones(side, side)
    at = torch.arange(side) + 0.5
    edge = (torch.minimum(at, side - at) / OVERLAP).clamp(max=1)
    return edge[:, None] * edge


def infer_files(
    model: MaterialNet, images: Sequence[Path], out: Path, poses: Path | None = None
) -> dict[str, list[str]]:
    """Writes the maps of three pictures to `out`, which is replaced -> {"files": names}. ValueError, before anything
    is computed, for pictures that are not three different squares of one size, or for poses that are none."""
    if len(images) != VIEWS:
        names = ", ".join(map(str, images)) or "none"
        raise ValueError(f"{len(images)} pictures ({names}): expected exactly {VIEWS} views of one surface")
    views = torch.from_numpy(stack_views(list(images)))
    told = None if poses is None else torch.from_numpy(read_poses(poses))
    maps = infer(model, views, told).numpy()
    with new_folder(out) as draft:
        write_result(draft, maps)
        return {"files": sorted(file.name for file in draft.iterdir())}


def read_poses(file: Path) -> np.ndarray:
    """[3, 3] of {"poses": [[polar_deg, azimuth_deg, distance], ...]}."""
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    return check_poses(read_object(file).get("poses"), f"{file}: poses")


def write_result(folder: Path, maps: np.ndarray) -> None:
    """basecolor, roughness, metallic, normal, the three packed as glTF reads them, material.gltf, manifest.json."""
    write_maps(folder, maps)
    write_picture(folder / "orm.png", np.concatenate([np.ones_like(maps[3:4]), maps[3:5]]))
    (folder / "material.gltf").write_text(json.dumps(GLTF, indent=1))
    manifest = {"kind": "material", "format_version": 1, "size": maps.shape[-1], "normals": "OpenGL, y up"}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


GLTF = {
    "asset": {"version": "2.0"},
    "images": [{"uri": f"{name}.png"} for name in ("basecolor", "orm", "normal")],
    "textures": [{"source": i} for i in range(3)],
    "materials": [
        {
            "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 1}},
            "normalTexture": {"index": 2},
        }
    ],
}
