"""Maps of a surface from one diffuse texture of it, with its normals where they are known: any size, in tiles.

A texture repeats, so what lies beyond an edge is what lies at the opposite one, and the maps repeat as well. Where the
normals are not known they are those of the height that was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.device import default_device
from terrarium.worlds.materials.data import part_of
from terrarium.worlds.materials.maps import NORMAL, SYMMETRIES, normals_of
from terrarium.worlds.materials.texture.model import TextureNet, flat_like
from terrarium.worlds.materials.texture.sample import AO, CHANNELS, DIFFUSE, HEIGHT, TARGETS
from terrarium.worlds.materials.tiles import in_tiles

MARGIN = 32  # pixels of the texture's other end around it
RELIEF = 0.02  # height of 1 in widths of the texture, where nothing tells it
COMPARED = 256  # pixels along a side at which the texture is looked at once more
OWN_INVERSES = tuple(SYMMETRIES[i] for i in (0, 2, 4, 5))  # as it is, half a turn, both mirror images
FOUND = slice(0, 10)  # of a sample: the eight maps, occlusion, height


@dataclass(frozen=True, eq=False)
class FromDiffuse:
    """Finds maps from `diffuse` [3, S, S] in sRGB and `normal` [3, S, S], None where it is unknown; `side` is that of
    the squares, what the model was trained on. `truth` [8, S, S] where it is known."""

    model: TextureNet
    side: int
    diffuse: Tensor
    normal: Tensor | None
    truth: Tensor | None = None

    def find(self) -> tuple[Tensor, dict[str, Tensor]]:
        """-> maps [8, S, S], and ao and height [S, S]."""
        found = infer(self.model, self.side, self.diffuse, self.normal)
        return found[:8], {"ao": found[AO][0], "height": found[HEIGHT][0]}

    def agreement(self) -> Tensor:
        return agreement(self.model, self.side, self.diffuse, self.normal)

    @property
    def pictures(self) -> dict[str, Tensor]:
        return {"diffuse": self.diffuse}

    @property
    def facts(self) -> dict[str, object]:
        return {"pictures": 1, "normals_given": self.normal is not None}


def infer(model: TextureNet, side: int, diffuse: Tensor, normal: Tensor | None) -> Tensor:
    """[10, S, S], in sample.py's order, of a texture [3, S, S] of 16 pixels or more."""
    size = diffuse.shape[-1]
    around = -(-(size + 2 * MARGIN) // model.cell) * model.cell
    at = (torch.arange(around) - MARGIN) % size
    seen = torch.cat([diffuse, flat_like(diffuse) if normal is None else normal])[:, at][:, :, at]
    found = in_tiles(lambda top, left: _of(model, part_of(seen, top, left, tile)), around, tile := min(side, around))
    found = part_of(found, MARGIN, MARGIN, size)
    if normal is None:
        found[NORMAL] = torch.from_numpy(normals_of(found[HEIGHT][0].numpy(), RELIEF))
    else:
        found[NORMAL] = normal
    return found


@torch.no_grad()
def _of(model: TextureNet, seen: Tensor) -> Tensor:
    """Of diffuse and normals [6, H, W]."""
    seen = seen[None].to(default_device())
    found = model(seen[:, :3], seen[:, 3:])
    out = torch.zeros(FOUND.stop, *seen.shape[-2:])
    for name, channels in TARGETS.items():
        out[channels] = found.map(name)[0].cpu()
    return out


def agreement(model: TextureNet, side: int, diffuse: Tensor, normal: Tensor | None) -> Tensor:
    """Confidence [S, S] in [0, 1]: 1 where the texture, turned and mirrored, leads to the same maps, less by the widest
    range of any channel but the normals'."""
    size = diffuse.shape[-1]
    if size > COMPARED:
        diffuse = _smaller(diffuse)
        normal = None if normal is None else F.normalize(_smaller(normal), dim=0)
    x = torch.zeros(CHANNELS, *diffuse.shape[-2:])
    x[DIFFUSE], x[NORMAL] = diffuse, flat_like(diffuse) if normal is None else normal
    each = []
    for turned in OWN_INVERSES:
        seen = turned(x)
        found = infer(model, side, seen[DIFFUSE], None if normal is None else seen[NORMAL])
        each.append(turned(found))
    spread = torch.stack(each)
    spread = (spread.amax(0) - spread.amin(0))[[i for i in range(FOUND.stop) if i not in range(8)[NORMAL]]].amax(0)
    return F.interpolate(1 - spread[None, None], (size, size), mode="bilinear", align_corners=False)[0, 0]


def _smaller(x: Tensor) -> Tensor:
    return F.interpolate(x[None], (COMPARED, COMPARED), mode="area")[0]
