"""Contact sheets of maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from terrarium.worlds.materials.maps import MAPS, to_pixels

GAP = 4


def save_sheet(path: Path, views: Tensor, found: Tensor, true: Tensor) -> None:
    """Writes a PNG with a row for each material: its views [N, V, 3, S, S], then each map as found above as it is."""
    rows = []
    for seen, a, b in zip(views, to_pixels(found), to_pixels(true), strict=True):
        pairs = [torch.cat([x[at].expand(3, -1, -1) for x in (a, b)], dim=1) for at in MAPS.values()]
        blank = torch.zeros_like(seen)
        cells = [*torch.cat([seen, blank], dim=2).unbind(0), *pairs]
        rows.append(torch.cat([F.pad(cell, (0, GAP, 0, GAP)) for cell in cells], dim=2))
    sheet = torch.cat(rows, dim=1).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(np.rint(255 * sheet).astype(np.uint8)).save(path)
