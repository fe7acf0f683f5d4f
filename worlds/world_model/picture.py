"""Moving pictures: the flow's pixels, sampling along it, the margins beside the picture, and what is shown in the end.

Shapes as in dynamics.py: B batch, T time, H x W the frame's pixels, M the margin, P 1 with a painter, else 0.

For the painter each pixel carries how fresh it is: 1 where it was seen in a real frame, 0 where it was made up, and
less with every time that it is sampled anew, as exp(-age / FADE), where a pixel that is stretched ages faster.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from terrarium.kernels import cpu
from terrarium.worlds.precision import wide
from terrarium.worlds.world_model.conv_gru import Flow
from terrarium.worlds.world_model.fits import DOWN

STILL = 0.25  # pixels: a frame in which nothing moves by more is kept as it is, or the filter would sharpen it for ever
FADE = 8.0  # samplings after which a seen pixel counts for 1 / e


def picture_flow(field: torch.Tensor) -> torch.Tensor:
    """A layer's field in cells (see `Flow`) [N, 12, h, w] -> the picture's flow in pixels [N, 2, H, W]."""
    field = wide(field)
    if (programs := cpu.used(field)) and cpu.takes_pictures(*(DOWN * side for side in field.shape[2:])):
        return cpu.upsample(programs, field)
    coarse = F.interpolate(field[:, :2], scale_factor=DOWN, mode="bilinear")
    fine = F.interpolate(F.pixel_shuffle(field[:, 2 * Flow.GROUPS :], 2), scale_factor=DOWN // 2, mode="bilinear")
    return DOWN * (coarse + fine)


def move_picture(
    canvas: torch.Tensor, flow: torch.Tensor, left: int = 0, *, columns: torch.Tensor | None = None
) -> torch.Tensor:
    """canvas [N, 4+, H, W'] sampled at each pixel plus flow [N, 2, H, W] (x, y, in pixels), W columns from `left` on,
    or `columns` [W].

    Bicubic, since it is done again in every frame and bilinear weights would blur. Channels from 3 on, `known` and
    what else a canvas holds in [0, 1], are 0 outside.
    """
    canvas, flow = wide(canvas), wide(flow)
    height, width = canvas.shape[2:]
    if columns is None:
        columns = torch.arange(left, left + flow.shape[3], dtype=flow.dtype, device=flow.device)
    if (programs := cpu.used(canvas, flow)) and canvas.shape[1] == cpu.picture.CHANNELS and not canvas.requires_grad:
        return cpu.move_picture(programs, canvas, flow, columns)
    y = torch.arange(height, dtype=flow.dtype, device=flow.device).unsqueeze(1) + flow[:, 1]
    x = columns + flow[:, 0]
    at = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    moved = F.grid_sample(canvas, at, mode="bicubic", padding_mode="border", align_corners=True)
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    return torch.cat([moved[:, :3].clamp(-0.5, 0.5), moved[:, 3:].clamp(0, 1) * inside.unsqueeze(1)], dim=1)


def move_pictures(
    pictures: torch.Tensor, flow: torch.Tensor, margins: torch.Tensor, fresh: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """pictures [B, T, 3, H, W], flow [B, T, 2, H, W] in pixels, margins [B, 4 + P, H, 2M] and `fresh` [B, P, H, W] of
    the first frame -> pictures, `known` and `fresh` moved by the flow [BT, 4 + P, H, W], margins after the last frame.

    The frames after the first are real ones. The margins move by the flow at the picture's edge; only the picture
    itself passes a gradient to the flow.
    """
    if flow.requires_grad and margins.shape[1] == cpu.picture.CHANNELS and cpu.used(pictures, flow):
        return _on_canvases(pictures, flow, margins)
    m, width = margins.shape[-1] // 2, pictures.shape[-1]
    seen, moved = [], []
    with torch.no_grad():
        for picture, flow_t in zip(pictures.unbind(1), flow.unbind(1), strict=True):
            canvas = between_margins(picture, fresh, margins)
            fresh = torch.ones_like(fresh)
            seen.append(canvas)
            if flow.requires_grad:  # the picture itself is moved below, all T at once
                margins = move_margins(canvas, flow_t, m)
            else:
                flow_t = flow_t * (flow_t.abs().amax(dim=(1, 2, 3), keepdim=True) > STILL)
                flow_t = F.pad(flow_t, (m, m, 0, 0), mode="replicate")
                whole = move_picture(canvas, flow_t)
                if fresh.shape[1]:
                    whole = torch.cat([whole[:, :4], whole[:, 4:] * fading(flow_t)], dim=1)
                left, middle, right = whole.split([m, width, m], dim=-1)
                moved.append(middle)
                margins = torch.cat([left, right], dim=-1)
    if flow.requires_grad:
        canvas = torch.stack([each.permute(0, 2, 3, 1) for each in seen], dim=1).flatten(0, 1).permute(0, 3, 1, 2)
        return move_picture(canvas, flow.flatten(0, 1), m), margins
    return torch.stack(moved, dim=1).flatten(0, 1), margins


def _on_canvases(
    pictures: torch.Tensor, flow: torch.Tensor, margins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `move_pictures`, without a painter and with a gradient: all T canvases lie in one tensor, channels last as the
    program takes them, and each frame's margins are written into the next one's."""
    b, t, _, height, width = pictures.shape
    m = margins.shape[-1] // 2
    with torch.no_grad():
        canvases = pictures.new_ones(b, t, height, width + 2 * m, cpu.picture.CHANNELS).permute(0, 1, 4, 2, 3)
        canvases[:, :, :3, :, m : m + width] = pictures
        for canvas, flow_t in zip(canvases.unbind(1), flow.unbind(1), strict=True):
            canvas[..., :m], canvas[..., m + width :] = margins.chunk(2, dim=-1)
            margins = move_margins(canvas, flow_t, m)
    return move_picture(canvases.flatten(0, 1), flow.flatten(0, 1), m), margins


def move_margins(canvas: torch.Tensor, flow: torch.Tensor, m: int) -> torch.Tensor:
    """The `m` columns at either side of a canvas [N, 4+, H, W + 2M], by the picture's flow [N, 2, H, W] at its edges
    -> [N, 4+, H, 2M]."""
    at_edges = torch.cat([flow[..., :1].expand(-1, -1, -1, m), flow[..., -1:].expand(-1, -1, -1, m)], dim=-1)
    columns = torch.arange(canvas.shape[-1], dtype=flow.dtype, device=flow.device)
    return move_picture(canvas, at_edges, columns=torch.cat([columns[:m], columns[canvas.shape[-1] - m :]]))


def fading(flow: torch.Tensor) -> torch.Tensor:
    """flow [N, 2, H, W] in pixels -> what is left of a pixel's freshness [N, 1, H, W]: 1 in a row that stands still,
    exp(-1 / FADE) in one that moves, and less where one pixel is stretched over several."""
    (dx_x, dx_y), (dy_x, dy_y) = (_slopes(part) for part in flow.unbind(1))
    area = (1 + dx_x) * (1 + dy_y) - dx_y * dy_x  # of the canvas, that one pixel is sampled from
    faded = math.exp(-1 / FADE) * area.clamp(0.1, 1).sqrt()
    still = (flow == 0).flatten(1).all(dim=1).view(-1, 1, 1)
    return torch.where(still, torch.ones_like(faded), faded).unsqueeze(1)


def _slopes(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[N, H, W] -> its differences to the next column and to the next row, 0 in the last, both [N, H, W]."""
    return F.pad(x[:, :, 1:] - x[:, :, :-1], (0, 1)), F.pad(x[:, 1:] - x[:, :-1], (0, 0, 0, 1))


def between_margins(picture: torch.Tensor, fresh: torch.Tensor, margins: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] and [B, P, H, W] between their margins [B, 4 + P, H, 2M] -> [B, 4 + P, H, W + 2M]."""
    left, right = margins.chunk(2, dim=-1)
    return torch.cat([left, torch.cat([picture, torch.ones_like(picture[:, :1]), fresh], dim=1), right], dim=-1)


def compose(moved: torch.Tensor, drawn: torch.Tensor, mask: torch.Tensor, *, soft: bool = False) -> torch.Tensor:
    """Pictures [..., 3, H, W] in [-.5, .5], moved and drawn, mask [..., 1, H, W] in [0, 1] -> what is shown.

    Each pixel is moved or drawn. `soft` mixes the two by the mask, for the gradient of a loss: a mixture of two
    pictures that do not agree is blurred, and shown again and again ever more so.
    """
    moved, drawn, mask = wide(moved), wide(drawn), wide(mask)
    if not soft:
        return torch.where(mask > 0.5, moved, drawn).clamp(-0.5, 0.5)
    return torch.lerp(drawn, moved, mask.expand_as(drawn)).clamp(-0.5, 0.5)
