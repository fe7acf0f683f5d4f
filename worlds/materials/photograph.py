"""Three views of a material, as a person with a lamp beside the camera would take them: rendered, with their poses.

Each view has a lamp near its camera and all views of a material share surroundings that are soft and brighter above.
Dirty ones have besides a shadow, smudges and scratches, on the picture, which the maps do not have.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.materials.brdf import COLUMNS, ROWS, Environment, directions, environment, unit_last
from terrarium.worlds.materials.cameras import Cameras, cameras, pixel_centres, random_poses, rectify
from terrarium.worlds.materials.checks import VIEWS
from terrarium.worlds.materials.colour import linear_to_srgb
from terrarium.worlds.materials.render import Lights, render

LAMP = (2.0, 3.2)  # irradiance of a surface that faces the lamp
APART = 0.6  # of a lamp from its camera, at most
SKY = 0.45  # about what a white surface sends back of the surroundings


def photograph(maps: Tensor, generator: torch.Generator, far: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """maps [B, 8, S, S] -> views [B, 3, 3, S, S] in sRGB, poses [B, 3, 3]. Cameras and their lamps are `far` [B] times
    as far away as usual: the maps are then the middle of a surface that is as much larger."""
    batch, side = len(maps), maps.shape[-1]
    away = torch.ones(batch * VIEWS) if far is None else far.repeat_interleave(VIEWS)
    poses = random_poses(batch * VIEWS, generator)
    poses[:, 2] *= away
    taken = cameras(poses)
    around = random_environment(batch, generator)
    lights = Lights(*_lamps(taken, away, generator), Environment(*(x.repeat_interleave(VIEWS, 0) for x in around)))
    seen = render(maps.repeat_interleave(VIEWS, 0), "floor", taken, lights, side)
    return linear_to_srgb(seen).unflatten(0, (batch, VIEWS)), poses.unflatten(0, (batch, VIEWS))


def rectified(views: Tensor, poses: Tensor | None) -> Tensor:
    """Views [B, V, 3, S, S] by their poses [B, V, 3]; as they are where those are unknown."""
    if poses is None:
        return views
    flat = rectify(views.flatten(0, 1), cameras(poses.flatten(0, 1)), views.shape[-1])
    return flat.unflatten(0, views.shape[:2])


def dirty(views: Tensor, generator: torch.Generator) -> Tensor:
    """With a shadow over part of each, smudges and scratches; views [B, V, 3, S, S] in [0, 1]."""
    flat = views.flatten(0, 1)
    count, side = len(flat), flat.shape[-1]

    def draw(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    at = pixel_centres(side)
    y, x = torch.meshgrid(at, at, indexing="ij")
    turn, offset, soft = (v.view(-1, 1, 1) for v in (6.283 * draw(), draw() - 0.5, 0.05 + 0.3 * draw()))
    shadow = torch.sigmoid((turn.cos() * x + turn.sin() * y - offset) / soft)
    smudge = (
        F.interpolate(draw(1, 5, 5), (side, side), mode="bicubic", align_corners=False)[:, 0].sub(0.55).clamp(min=0)
    )
    angle, shift = (v.view(-1, 1, 1) for v in (6.283 * draw(), 1.6 * draw() - 0.8))
    scratch = torch.exp(-(((angle.cos() * x + angle.sin() * y - shift) * side / 2.0) ** 2))
    darker = 1 - (0.2 + 0.4 * draw().view(-1, 1, 1)) * shadow
    grime = torch.tensor([0.35, 0.31, 0.26]).view(3, 1, 1)
    amount = (0.9 * smudge).clamp(0, 0.6).unsqueeze(1)
    found = (flat * darker.unsqueeze(1)) * (1 - amount) + grime * amount
    found = found + 0.35 * (0.85 - found) * scratch.unsqueeze(1)
    return found.clamp(0, 1).unflatten(0, views.shape[:2])


def random_environment(count: int, generator: torch.Generator) -> Environment:
    """Soft light from above with two bright windows, dim from below."""
    towards, _ = directions()
    sky = 0.25 + 0.2 * torch.rand(count, 1, generator=generator) + 0.15 * towards[:, 2]
    for _ in range(2):
        window = torch.randn(count, 3, generator=generator)
        window = unit_last(window * torch.tensor([1.0, 1.0, 0.3]) + torch.tensor([0.0, 0.0, 0.7]))
        narrow = 4 + 16 * torch.rand(count, 1, generator=generator)
        bright = 0.3 + 1.2 * torch.rand(count, 1, generator=generator)
        sky = sky + bright * (narrow * (window @ towards.T - 1)).exp()
    tint = 1 + 0.06 * torch.randn(count, 3, 1, generator=generator).clamp(-2, 2)
    return environment((sky.unsqueeze(1) * tint).view(count, 3, ROWS, COLUMNS))


def _lamps(taken: Cameras, far: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One beside each camera, as bright on the plane wherever it stands: positions, intensities [B, 1, 3]."""
    count = len(taken.eye)
    beside = APART * far.unsqueeze(1) * (2 * torch.rand(count, 2, generator=generator) - 1)
    position = taken.eye + (beside.unsqueeze(-1) * taken.axes[:, :2]).sum(1)
    bright = LAMP[0] + (LAMP[1] - LAMP[0]) * torch.rand(count, 1, generator=generator)
    intensity = bright * (position * position).sum(-1, keepdim=True)
    return position.unsqueeze(1), intensity.expand(-1, 3).unsqueeze(1)
