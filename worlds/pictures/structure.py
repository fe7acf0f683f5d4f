"""Structure of pictures that sharpness alone does not show: are edges straight?"""

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
    size, line, along = _edges(frames.float().mean(dim=-1).unsqueeze(1))
    unit = line / size.clamp(min=1e-6).unsqueeze(1)
    sides = []
    for sign in (1, -1):
        goes_on = torch.ones_like(size, dtype=torch.bool)
        for reach in REACH:
            there = _there(line, sign * reach * along)
            length = there.norm(dim=1)
            same = (there * unit).sum(dim=1) > ALIKE * length
            goes_on &= same & (length > size / 2)
        sides.append(goes_on)
    return ((size > STRONG) & (sides[0] | sides[1])).float().mean(dim=(1, 2))


def going_on(pictures: torch.Tensor) -> torch.Tensor:
    """[N, 3, H, W] -> the size of each pixel's gradient and, for each REACH along the edge, how much of it is there with
    the same orientation, to the side where there is more: [N, 1 + len(REACH), H, W]. With a slope, unlike
    `straight_edges`, to the pixel and to those where its edge should go on, but none to where these lie."""
    size, line, along = _edges(pictures.mean(dim=1, keepdim=True))
    unit, along = line / size.unsqueeze(1), along.detach()
    found = [size]
    for reach in REACH:
        sides = ((_there(line, sign * reach * along) * unit).sum(dim=1) for sign in (1, -1))
        found.append(torch.minimum(torch.maximum(*sides).clamp(min=0), size))
    return torch.stack(found, dim=1)


def _edges(grey: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """[N, 1, H, W] -> the gradient's size [N, H, W], the edge's orientation as twice its angle, for a line has no
    direction, of the gradient's length [N, 2, H, W], and a unit vector (x, y) along it [N, H, W, 2]."""
    grey = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    grey = F.avg_pool2d(grey, 3, stride=1)  # a step of one pixel gets an orientation
    around = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    gx = (around[:, 0, 1:-1, 2:] - around[:, 0, 1:-1, :-2]) / 2
    gy = (around[:, 0, 2:, 1:-1] - around[:, 0, :-2, 1:-1]) / 2
    size = (gx * gx + gy * gy).clamp(min=1e-12).sqrt()
    line = torch.stack([gx * gx - gy * gy, 2 * gx * gy], dim=1) / size.unsqueeze(1)
    return size, line, torch.stack([-gy, gx], dim=-1) / size.unsqueeze(-1)


def _there(line: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """`line` [N, 2, H, W] as it is `steps` [N, H, W, 2] pixels (x, y) from each pixel; 0 outside."""
    h, w = line.shape[2:]
    y, x = torch.meshgrid(torch.arange(h, device=line.device), torch.arange(w, device=line.device), indexing="ij")
    at = (torch.stack([x, y], dim=-1) + 0.5 + steps) / torch.tensor([w, h], device=line.device) * 2 - 1
    return F.grid_sample(line, at, padding_mode="zeros", align_corners=False)
