"""A diffuse texture synthesised from the maps: baked sun, occlusion of low places, a highlight, a colour cast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.materials.colour import linear_to_srgb, srgb_to_linear
from terrarium.worlds.materials.maps import ALBEDO, NORMAL, ROUGHNESS
from terrarium.worlds.materials.texture.augment import blurred
from terrarium.worlds.materials.texture.sample import DIFFUSE, HEIGHT

SHINE = 0.08  # of a smooth surface's highlight
SHARPNESS = 20.0


@dataclass(frozen=True)
class Sun:
    """`towards` is a unit vector to the sun in tangent space; `cast` multiplies red, green and blue."""

    towards: tuple[float, float, float]
    cast: tuple[float, float, float]


def some_sun(rng: np.random.Generator) -> Sun:
    """15 to 60 degrees from the normal, from any side."""
    polar, azimuth = np.radians(rng.uniform(15, 60)), rng.uniform(0, 2 * np.pi)
    red, green, blue = (float(c) for c in rng.uniform(0.92, 1.08, 3))
    flat = float(np.sin(polar))
    return Sun((flat * float(np.cos(azimuth)), flat * float(np.sin(azimuth)), float(np.cos(polar))), (red, green, blue))


def synthetic_diffuse(albedo: Tensor, normal: Tensor, height: Tensor, specular: Tensor | float, sun: Sun) -> Tensor:
    """clip(cast (albedo (.4 + .6 max(0, n.sun)) (1 - .25 (1 - blur(height))) + specular)), all linear; albedo and the
    result [3, H, W], height [1, H, W] in [0, 1]."""
    facing = torch.einsum("chw,c->hw", normal, torch.tensor(sun.towards)).clamp(min=0)
    low = 1 - 0.25 * (1 - blurred(height))
    cast = torch.tensor(sun.cast).view(3, 1, 1)
    return (cast * (albedo * (0.4 + 0.6 * facing) * low + specular)).clamp(0, 1)


def highlight(normal: Tensor, roughness: Tensor, sun: Sun) -> Tensor:
    """Blinn and Phong's [1, H, W], seen from above (Blinn 1977, doi:10.1145/563858.563893)."""
    half = F.normalize(torch.tensor(sun.towards) + torch.tensor([0.0, 0.0, 1.0]), dim=0)
    facing = torch.einsum("chw,c->hw", normal, half).clamp(min=0)
    return SHINE * (1 - roughness) * facing**SHARPNESS


def sunlit(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A sample [14, H, W] with a synthesised diffuse, in sRGB as diffuse textures are stored. Where the height is not
    known no place is low."""
    sun = some_sun(rng)
    height = torch.where(x[HEIGHT] < 0, torch.ones_like(x[HEIGHT]), x[HEIGHT])
    shine = highlight(x[NORMAL], x[ROUGHNESS], sun)
    out = x.clone()
    out[DIFFUSE] = linear_to_srgb(synthetic_diffuse(srgb_to_linear(x[ALBEDO]), x[NORMAL], height, shine, sun))
    return out
