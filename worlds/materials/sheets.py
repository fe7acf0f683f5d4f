"""Contact sheets of maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from terrarium.worlds.materials.maps import MAPS, to_pixels
from terrarium.worlds.materials.metrics import NEW_LIGHTS, relit

GAP = 4


def save_sheet(path: Path, views: Tensor, found: Tensor, true: Tensor) -> None:
    """Writes a picture with a row for each material: its views [N, V, 3, S, S], each map as found above as it is, and
    likewise both lit from a side that no view was."""
    rows = []
    lit = [relit(maps, NEW_LIGHTS[0]) for maps in (found, true)]
    for seen, a, b, found_lit, true_lit in zip(views, to_pixels(found), to_pixels(true), *lit, strict=True):
        pairs = [torch.cat([x[at].expand(3, -1, -1) for x in (a, b)], dim=1) for at in MAPS.values()]
        blank = torch.zeros_like(seen)
        cells = [*torch.cat([seen, blank], dim=2).unbind(0), *pairs, torch.cat([found_lit, true_lit], dim=1)]
        rows.append(torch.cat([F.pad(cell, (0, GAP, 0, GAP)) for cell in cells], dim=2))
    sheet = torch.cat(rows, dim=1).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(np.rint(255 * sheet).astype(np.uint8)).save(path)
