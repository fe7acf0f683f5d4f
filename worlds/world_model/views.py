"""Views: what a player has seen from where he stands comes back when he turns back to it.

Turning moves no pixel by its depth, so a view kept whole shows exactly what another one, turned, would see of the same
place: a homography, sampled once, however often the player has turned meanwhile (Hartley and Zisserman, Multiple View
Geometry, 2nd ed., 8.4). That needs the camera's angles, which an action gives in known units, and its field of view;
for sources that do not tell them there are no views. A step changes the place, and its views are forgotten: whether
there was one shows in the learned flow, as far as it departs from that of turning alone.

`views` uint8 [B, V, 3 + P, H, W] are colours and, with a painter, `fresh` (see picture.py). `looks` [B, 1 + V, 3] hold
yaw and pitch in radians and when it was seen, EMPTY where nothing was: of the frame to come first, then of each view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.camera import FOVY_DEG
from terrarium.worlds.blocks.physics import MAX_PITCH
from terrarium.worlds.precision import wide

EMPTY = -1.0
SHOWN = 2  # views, the nearest ones, that a picture is put together of
APART = math.cos(math.radians(15))  # a view is kept where none has been within these degrees
STEP = (0.5, 1.6)  # pixels by which the flow departs from turning alone in a step: with a key held, without
EDGE = 0.05  # cosine to the view's direction from which a ray can be in it


@dataclass(frozen=True)
class Camera:
    """Degrees: the vertical field of view, turned by an action of 1, and the most that it looks up or down."""

    fovy: float
    yaw: float
    pitch: float
    most_pitch: float


def camera_of(data: Mapping[str, Any]) -> Camera | None:
    """Of the source in a dataset's manifest, or in the `data` of a checkpoint's; None where it does not tell."""
    if data["source"]["kind"] != "blocks":
        return None
    return Camera(FOVY_DEG, act.MAX_YAW_DEG, act.MAX_PITCH_DEG, MAX_PITCH)


def turn(camera: Camera, looks: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """action [B, A], of which the first two columns turn -> looks whose first row has turned and counts one more."""
    yaw, pitch, seen = looks[:, 0].unbind(1)
    most = math.radians(camera.most_pitch)
    yaw = yaw + math.radians(camera.yaw) * wide(action[:, 0])
    pitch = (pitch + math.radians(camera.pitch) * wide(action[:, 1])).clamp(-most, most)
    return torch.cat([torch.stack([yaw, pitch, seen + 1], dim=1).unsqueeze(1), looks[:, 1:]], dim=1)


def forget(
    camera: Camera, before: torch.Tensor, after: torch.Tensor, flow: torch.Tensor, action: torch.Tensor
) -> torch.Tensor:
    """looks before and after a turn, flow [B, 2, H, W] in pixels, action [B, A] -> `after` without views of another
    place: if the flow departs from that of turning, the player has moved."""
    size = flow.shape[2:]
    x, y, inside = places(camera, before[:, :1], after[:, 0], size)
    here_x, here_y = grid(size, flow.device).unbind(-1)
    turning_x, turning_y = (x[:, 0] - here_x) * (size[1] / 2), (y[:, 0] - here_y) * (size[0] / 2)
    flow_x, flow_y = wide(flow).unbind(1)
    apart = ((flow_x - turning_x).square() + (flow_y - turning_y).square()).sqrt()
    visible = inside[:, 0].to(apart.dtype)
    mean = (apart * visible).sum(dim=(1, 2)) / visible.sum(dim=(1, 2)).clamp(min=1)
    held = action[:, 2:].abs().amax(dim=1) > 0 if action.shape[1] > 2 else action.new_zeros(len(action)) > 0
    moved = mean > torch.where(held, STEP[0], STEP[1])
    seen = torch.where(moved.unsqueeze(1), EMPTY, after[:, 1:, 2])
    return torch.cat([after[:, :1], torch.cat([after[:, 1:, :2], seen.unsqueeze(2)], dim=2)], dim=1)


def look_back(
    camera: Camera, views: torch.Tensor, before: torch.Tensor, looks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the views show of the frame to come -> [B, 3 + P, H, W], and where they show something, bool [B, 1, H, W].

    Nowhere while the camera stands still: the present frame is as good.
    """
    near = closeness(looks).topk(SHOWN, dim=1)
    pick = near.indices
    chosen = wide(views.gather(1, pick.view(*pick.shape, 1, 1, 1).expand(-1, -1, *views.shape[2:]))) / 255
    of = looks[:, 1:].gather(1, pick.unsqueeze(2).expand(-1, -1, 3))
    x, y, inside = places(camera, of, looks[:, 0], views.shape[3:])
    at = torch.stack([x, y], dim=-1).flatten(0, 1)
    sampled = F.grid_sample(chosen.flatten(0, 1), at, mode="bicubic", padding_mode="border", align_corners=False)
    sampled = sampled.clamp(0, 1)
    turned = (looks[:, 0, :2] - before[:, 0, :2]).abs().amax(dim=1) > 0
    inside = inside & (near.values > -1)[:, :, None, None] & turned.view(-1, 1, 1, 1)
    first, second = sampled.unflatten(0, pick.shape).unbind(1)
    found = torch.where(inside[:, :1], first, second)
    return torch.cat([found[:, :3] - 0.5, found[:, 3:]], dim=1), inside.any(dim=1, keepdim=True)


def keep(
    views: torch.Tensor, looks: torch.Tensor, picture: torch.Tensor, fresh: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The frame on show, [B, 3, H, W] in [-.5, .5] and [B, P, H, W], takes the place of an empty view or the oldest,
    unless one looks nearly the same way -> views, looks."""
    new = closeness(looks).amax(dim=1) < APART
    slot = looks[:, 1:, 2].argmin(dim=1)
    there = F.one_hot(slot, views.shape[1]).bool() & new.unsqueeze(1)
    shown = torch.cat([wide(picture) + 0.5, fresh], dim=1).clamp(0, 1).mul(255).round().to(torch.uint8)
    rows = torch.arange(views.shape[0], device=views.device)
    shown = torch.where(new.view(-1, 1, 1, 1), shown, views[rows, slot])
    views = views.index_put((rows, slot), shown)  # a copy and one view: chosen pixel by pixel it took a sixth of a step
    kept = torch.where(there.unsqueeze(2), looks[:, :1], looks[:, 1:])
    return views, torch.cat([looks[:, :1], kept], dim=1)


def closeness(looks: torch.Tensor) -> torch.Tensor:
    """-> the cosine between each view's direction and the present one [B, V]; -2 for empty ones."""
    yaw, pitch, seen = looks.unbind(2)
    forward = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), -yaw.cos() * pitch.cos()], dim=2)
    cosine = (forward[:, 1:] * forward[:, :1]).sum(dim=2)
    return torch.where(seen[:, 1:] > EMPTY, cosine, -2.0)


def places(
    camera: Camera, of: torch.Tensor, now: torch.Tensor, size: tuple[int, int] | torch.Size
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where each view, looking as `of` [B, N, 3], shows what is seen looking as `now` [B, 3] -> x and y [B, N, H, W]
    (-1 and 1 are the picture's edges), bool [B, N, H, W] where that is inside.

    A plane each, as processors like it: of pairs x, y only two in a vector's sixteen would be of use.
    """
    height, width = size
    turned = basis(now).unsqueeze(1) @ basis(of).transpose(2, 3)  # camera axes now -> those of the view
    tan = math.tan(math.radians(camera.fovy) / 2)
    scale_x, scale_y = tan * width / height, -tan
    x, y = grid(size, of.device).unbind(-1)
    rays = torch.stack([x * scale_x, y * scale_y, torch.ones_like(x)]).flatten(1)
    across, up, ahead = (turned.transpose(2, 3) @ rays).unflatten(3, (height, width)).unbind(2)
    near = ahead.clamp(min=EDGE)
    x, y = across / (near * scale_x), up / (near * scale_y)
    edge_x, edge_y = (1 - 1 / n + 1e-4 for n in (width, height))  # the outermost pixels' centres
    return x, y, (ahead > EDGE) & (x.abs() <= edge_x) & (y.abs() <= edge_y)


def basis(look: torch.Tensor) -> torch.Tensor:
    """[..., 3] -> the camera's right, up and forward as rows [..., 3, 3] (see worlds/blocks/camera.py)."""
    yaw, pitch = look[..., 0], look[..., 1]
    (sy, cy), (sp, cp) = (yaw.sin(), yaw.cos()), (pitch.sin(), pitch.cos())
    rows = [[cy, torch.zeros_like(cy), sy], [-sy * sp, cp, cy * sp], [sy * cp, sp, -cy * cp]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def grid(size: tuple[int, int] | torch.Size, device: torch.device) -> torch.Tensor:
    """Pixel centres [H, W, 2] (x, y) in [-1, 1]."""
    y, x = (torch.arange(n, device=device, dtype=torch.float32).add(0.5).mul(2 / n).sub(1) for n in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
