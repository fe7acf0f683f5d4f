"""Moving pictures: the flow's pixels, sampling along it, the margins beside the picture, and what is shown in the end.

Shapes as in dynamics.py: B batch, T time, H x W the frame's pixels, M the margin.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from terrarium.worlds.precision import wide
from terrarium.worlds.world_model.conv_gru import Flow
from terrarium.worlds.world_model.fits import DOWN

STILL = 0.25  # pixels: a frame in which nothing moves by more is kept as it is, or the filter would sharpen it for ever


def picture_flow(field: torch.Tensor) -> torch.Tensor:
    """A layer's field in cells (see `Flow`) [N, 12, h, w] -> the picture's flow in pixels [N, 2, H, W]."""
    field = wide(field)
    coarse = F.interpolate(field[:, :2], scale_factor=DOWN, mode="bilinear")
    fine = F.interpolate(F.pixel_shuffle(field[:, 2 * Flow.GROUPS :], 2), scale_factor=DOWN // 2, mode="bilinear")
    return DOWN * (coarse + fine)


def move_picture(canvas: torch.Tensor, flow: torch.Tensor, left: int = 0) -> torch.Tensor:
    """canvas [N, 4, H, W'] sampled at each pixel plus flow [N, 2, H, W] (x, y, in pixels), W columns from `left` on.

    Bicubic, since it is done again in every frame and bilinear weights would blur. Channel 3, `known`, is 0 outside.
    """
    canvas, flow = wide(canvas), wide(flow)
    height, width = canvas.shape[2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device).unsqueeze(1) + flow[:, 1]
    x = torch.arange(left, left + flow.shape[3], dtype=flow.dtype, device=flow.device) + flow[:, 0]
    at = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    moved = F.grid_sample(canvas, at, mode="bicubic", padding_mode="border", align_corners=True)
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    return torch.cat([moved[:, :3].clamp(-0.5, 0.5), moved[:, 3:].clamp(0, 1) * inside.unsqueeze(1)], dim=1)


def move_pictures(
    pictures: torch.Tensor, flow: torch.Tensor, margins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """pictures [B, T, 3, H, W], flow [B, T, 2, H, W] in pixels, margins [B, 4, H, 2M] before the first frame ->
    pictures and `known` moved by the flow [BT, 4, H, W], margins after the last frame.

    The margins move by the flow at the picture's edge; only the picture itself passes a gradient to the flow.
    """
    m, width = margins.shape[-1] // 2, pictures.shape[-1]
    seen, moved = [], []
    with torch.no_grad():
        for picture, flow_t in zip(pictures.unbind(1), flow.unbind(1), strict=True):
            canvas = between_margins(picture, margins)
            seen.append(canvas)
            if flow.requires_grad:  # the picture itself is moved below, all T at once
                left = move_picture(canvas, flow_t[..., :1].expand(-1, -1, -1, m))
                right = move_picture(canvas, flow_t[..., -1:].expand(-1, -1, -1, m), m + width)
            else:
                flow_t = flow_t * (flow_t.abs().amax(dim=(1, 2, 3), keepdim=True) > STILL)
                whole = move_picture(canvas, F.pad(flow_t, (m, m, 0, 0), mode="replicate"))
                left, middle, right = whole.split([m, width, m], dim=-1)
                moved.append(middle)
            margins = torch.cat([left, right], dim=-1)
    if flow.requires_grad:
        return move_picture(torch.stack(seen, dim=1).flatten(0, 1), flow.flatten(0, 1), m), margins
    return torch.stack(moved, dim=1).flatten(0, 1), margins


def between_margins(picture: torch.Tensor, margins: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] between its margins [B, 4, H, 2M] -> [B, 4, H, W + 2M]."""
    left, right = margins.chunk(2, dim=-1)
    return torch.cat([left, torch.cat([picture, torch.ones_like(picture[:, :1])], dim=1), right], dim=-1)


def compose(moved: torch.Tensor, drawn: torch.Tensor, mask: torch.Tensor, *, soft: bool = False) -> torch.Tensor:
    """Pictures [..., 3, H, W] in [-.5, .5], moved and drawn, mask [..., 1, H, W] in [0, 1] -> what is shown.

    Each pixel is moved or drawn. `soft` mixes the two by the mask, for the gradient of a loss: a mixture of two
    pictures that do not agree is blurred, and shown again and again ever more so.
    """
    moved, drawn, mask = wide(moved), wide(drawn), wide(mask)
    if not soft:
        return torch.where(mask > 0.5, moved, drawn).clamp(-0.5, 0.5)
    return torch.lerp(drawn, moved, mask.expand_as(drawn)).clamp(-0.5, 0.5)
