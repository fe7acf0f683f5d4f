"""Structure of uint8 frames that sharpness alone does not show: are edges straight?"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

STRONG = 6.0  # of 255: least difference across a pixel that is an edge
REACH = (3.0, 6.0)  # pixels along an edge to either side, where a straight one goes on
ALIKE = 0.9  # cosine of twice the angle between two parts of one straight edge; 13 degrees


def straight_edges(frames: np.ndarray, batch: int = 512) -> np.ndarray:
    """Share of the pixels that lie on a straight edge, uint8 [..., H, W, 3] -> float32 [...].

    A pixel does where its gradient is strong and, REACH pixels along the edge to at least one side, the gradient is
    still half as strong and has the same orientation. Blocks give long straight edges, brush strokes short bent ones.
    """
    flat = frames.reshape(-1, *frames.shape[-3:])
    parts = [_straight(torch.from_numpy(flat[i : i + batch])) for i in range(0, len(flat), batch)]
    return torch.cat(parts).numpy().reshape(frames.shape[:-3])


def _straight(frames: torch.Tensor) -> torch.Tensor:
    grey = F.pad(frames.float().mean(dim=-1).unsqueeze(1), (1, 1, 1, 1), mode="replicate")
    grey = F.avg_pool2d(grey, 3, stride=1)  # a step of one pixel gets an orientation
    h, w = grey.shape[2:]
    around = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    gx = (around[:, 0, 1:-1, 2:] - around[:, 0, 1:-1, :-2]) / 2
    gy = (around[:, 0, 2:, 1:-1] - around[:, 0, :-2, 1:-1]) / 2
    size = torch.hypot(gx, gy)
    # Twice the angle: a line has no direction. The length stays that of the gradient.
    line = torch.stack([gx * gx - gy * gy, 2 * gx * gy], dim=1) / size.clamp(min=1e-6).unsqueeze(1)
    along = torch.stack([-gy, gx], dim=-1) / size.clamp(min=1e-6).unsqueeze(-1)
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    here = torch.stack([x, y], dim=-1) + 0.5
    unit = line / size.clamp(min=1e-6).unsqueeze(1)
    sides = []
    for sign in (1, -1):
        goes_on = torch.ones_like(size, dtype=torch.bool)
        for reach in REACH:
            at = (here + sign * reach * along) / torch.tensor([w, h]) * 2 - 1
            there = F.grid_sample(line, at, padding_mode="zeros", align_corners=False)
            length = there.norm(dim=1)
            same = (there * unit).sum(dim=1) > ALIKE * length
            goes_on &= same & (length > size / 2)
        sides.append(goes_on)
    return ((size > STRONG) & (sides[0] | sides[1])).float().mean(dim=(1, 2))
