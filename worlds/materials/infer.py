"""Maps of a surface from three views of it: any size, in tiles, and how far the views agree on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.json_file import read_object
from terrarium.worlds.materials.data import part_of, part_poses
from terrarium.worlds.materials.maps import NORMAL, to_pixels, unit
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.multi_view import poses_of
from terrarium.worlds.materials.photograph import rectified
from terrarium.worlds.materials.tiles import in_tiles
from terrarium.worlds.materials.train import predict

TILE = 128  # pixels; with 64 and 256 the maps are as good, and 256 shows its borders (lab-notes.md)
COMPARED = 256  # pixels along a side at which views are left out: the maps are found four times more


@dataclass(frozen=True, eq=False)
class FromViews:
    """Finds maps from `views` [3, 3, S, S] in sRGB, taken from `poses` [3, 3], None where those are unknown. `truth`
    [8, S, S] where it is known."""

    model: MaterialNet
    views: Tensor
    poses: Tensor | None
    truth: Tensor | None = None

    def find(self) -> tuple[Tensor, dict[str, Tensor]]:
        """-> maps [8, S, S]; views tell of no others."""
        return infer(self.model, self.views, self.poses), {}

    def agreement(self) -> Tensor:
        return agreement(self.model, self.views, self.poses)

    @property
    def pictures(self) -> dict[str, Tensor]:
        return {f"view_{number}": view for number, view in enumerate(self.views)}

    @property
    def facts(self) -> dict[str, object]:
        return {"pictures": len(self.views), "posed": self.poses is not None}


def infer(model: MaterialNet, views: Tensor, poses: Tensor | None) -> Tensor:
    """Maps [8, S, S] of views [V, 3, S, S], at least 16 pixels a side, as they were taken from `poses` [V, 3]; None
    where those are unknown and the views show one square from nearly above."""
    return of_rectified(model, _flat(views, poses), poses)


def agreement(model: MaterialNet, views: Tensor, poses: Tensor | None) -> Tensor:
    """Confidence [S, S] in [0, 1]: 1 where the maps stay the same when a view is left out, less by the mean difference
    of all channels. Of what costs as little it foretells errors best (lab-notes.md)."""
    flat, side = _flat(views, poses), views.shape[-1]
    if side > COMPARED:
        flat = F.interpolate(flat, (COMPARED, COMPARED), mode="area")
    every = list(range(len(flat)))
    fewer = [[i for i in every if i != left_out] for left_out in every]
    whole, *others = (
        to_pixels(of_rectified(model, flat[some], None if poses is None else poses[some])) for some in (every, *fewer)
    )
    moved = torch.stack([(other - whole).abs().mean(0) for other in others]).mean(0)
    return F.interpolate(1 - moved[None, None], (side, side), mode="bilinear", align_corners=False)[0, 0]


def of_rectified(model: MaterialNet, flat: Tensor, poses: Tensor | None) -> Tensor:
    """Maps [8, S, S] of rectified views [V, 3, S, S]."""
    full = flat.shape[-1]
    padded = F.pad(flat, (0, -full % model.cell) * 2, mode="replicate")[None]
    side = min(TILE, padded.shape[-1])

    def find(top: int, left: int) -> Tensor:
        seen = None if poses is None else part_poses(poses, full, top, left, side)[None]
        return predict(model, part_of(padded, top, left, side), seen)[0]

    found = in_tiles(find, padded.shape[-1], side)
    found[NORMAL] = unit(found[NORMAL])
    return found[..., :full, :full]


def _flat(views: Tensor, poses: Tensor | None) -> Tensor:
    return rectified(views[None], None if poses is None else poses[None])[0]


def read_poses(file: Path) -> np.ndarray:
    """[3, 3] of {"poses": [[polar_deg, azimuth_deg, distance], ...]}."""
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    return poses_of(read_object(file).get("poses"), f"{file}: poses")
