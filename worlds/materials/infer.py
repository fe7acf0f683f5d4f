"""Maps of a surface from pictures of it: any size, in tiles that overlap, and how far the views agree on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.durable import new_folder
from terrarium.worlds.json_file import read_object
from terrarium.worlds.materials.checks import VIEWS
from terrarium.worlds.materials.data import part_of, part_poses
from terrarium.worlds.materials.files import read_views
from terrarium.worlds.materials.maps import CHANNELS, NORMAL, to_pixels, unit
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.multi_view import poses_of
from terrarium.worlds.materials.outputs import write_outputs
from terrarium.worlds.materials.photograph import rectified
from terrarium.worlds.materials.train import predict

TILE = 128  # pixels; with 64 and 256 the maps are as good, and 256 shows its borders (lab-notes.md)
OVERLAP = 32
COMPARED = 256  # pixels along a side at which the views are compared: their maps are needed once more


def infer(model: MaterialNet, views: Tensor, poses: Tensor | None) -> Tensor:
    """Maps [8, S, S] of views [V, 3, S, S], at least 16 pixels a side, as they were taken from `poses` [V, 3]; None
    where those are unknown and the views show one square from nearly above."""
    return in_tiles(model, _flat(views, poses), poses)


def agreement(model: MaterialNet, views: Tensor, poses: Tensor | None) -> Tensor:
    """Confidence [S, S] in [0, 1]: 1 where each view alone leads to the same maps, less by the widest range of any
    channel where they differ."""
    flat, side = _flat(views, poses), views.shape[-1]
    if side > COMPARED:
        flat = F.interpolate(flat, (COMPARED, COMPARED), mode="area")
    each = [in_tiles(model, flat[i : i + 1], None if poses is None else poses[i : i + 1]) for i in range(len(flat))]
    pixels = to_pixels(torch.stack(each))
    spread = (pixels.amax(0) - pixels.amin(0)).amax(0)
    return F.interpolate(1 - spread[None, None], (side, side), mode="bilinear", align_corners=False)[0, 0]


def in_tiles(model: MaterialNet, flat: Tensor, poses: Tensor | None) -> Tensor:
    """Maps [8, S, S] of rectified views [V, 3, S, S]."""
    full = flat.shape[-1]
    padded = F.pad(flat, (0, -full % model.cell) * 2, mode="replicate")[None]
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


def _flat(views: Tensor, poses: Tensor | None) -> Tensor:
    return rectified(views[None], None if poses is None else poses[None])[0]


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
    views = torch.from_numpy(read_views(images))
    told = None if poses is None else torch.from_numpy(read_poses(poses))
    maps = infer(model, views, told).numpy()
    with new_folder(out) as draft:
        write_outputs(draft, maps, {"confidence": agreement(model, views, told).numpy()}, {})
        return {"files": sorted(file.name for file in draft.iterdir())}


def read_poses(file: Path) -> np.ndarray:
    """[3, 3] of {"poses": [[polar_deg, azimuth_deg, distance], ...]}."""
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    return poses_of(read_object(file).get("poses"), f"{file}: poses")
