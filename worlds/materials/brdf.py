"""How a surface scatters light: metallic-roughness with a GGX lobe over a Lambertian base, all in linear light.

    f(l, v) = D(h) V(l, v) F(v.h) + (1 - F'(n.l)) (1 - F'(n.v)) (1 - metallic) albedo / pi

D, GGX with alpha = roughness^2: Walter et al. 2007 (EGSR), equation 33. V = G / (4 n.l n.v), height-correlated Smith:
Heitz 2014 (JCGT 3:2), equation 99. F: Schlick 1994. F0 is 0.04 for dielectrics and the albedo for metals, as in glTF
2.0. What reaches the base has passed the surface twice (F' is F of dielectrics), so that base and lobe together never
reflect more than they get; with 1 - F(v.h) in their place a white dielectric reflected 1.19 of it, at 75 degrees and
roughness 0.2. One scattering only: rough metals lose what bounces twice.

Under an environment the lobe is split in two sums (Karis 2013, "Real Shading in Unreal Engine 4"): radiance averaged
under the lobe at n = v = r, times F0 a(n.v, roughness) + b(n.v, roughness).
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

DIELECTRIC_F0 = 0.04
LEAST_ROUGHNESS = 0.045  # below it the lobe is narrower than fp32 divides by
ROWS, COLUMNS = 16, 32  # of environments, from zenith to nadir and around
LEVELS = (0.0, 0.15, 0.35, 0.6, 0.8, 1.0)  # roughness for which they are averaged


class Surface(NamedTuple):
    """albedo_linear [..., 3], roughness [..., 1], metallic [..., 1], unit normal [..., 3], in world coordinates."""

    albedo_linear: Tensor
    roughness: Tensor
    metallic: Tensor
    normal: Tensor

    @property
    def f0(self) -> Tensor:
        return DIELECTRIC_F0 + (self.albedo_linear - DIELECTRIC_F0) * self.metallic

    @property
    def alpha(self) -> Tensor:
        return self.roughness.clamp(min=LEAST_ROUGHNESS) ** 2


def ggx(n_dot_h: Tensor, alpha: Tensor) -> Tensor:
    """D, 1/sr."""
    a2 = alpha * alpha
    return a2 / (math.pi * (n_dot_h * n_dot_h * (a2 - 1) + 1) ** 2)


def smith(n_dot_l: Tensor, n_dot_v: Tensor, alpha: Tensor) -> Tensor:
    """V = G / (4 n.l n.v)."""
    a2 = alpha * alpha
    light = n_dot_v * (n_dot_l * n_dot_l * (1 - a2) + a2).sqrt()
    view = n_dot_l * (n_dot_v * n_dot_v * (1 - a2) + a2).sqrt()
    return 0.5 / (light + view).clamp(min=1e-6)


def schlick(f0: Tensor | float, cosine: Tensor) -> Tensor:
    return f0 + (1 - f0) * (1 - cosine).clamp(0, 1) ** 5


def brdf(surface: Surface, to_light: Tensor, to_eye: Tensor) -> Tensor:
    """f(l, v) [..., 3] in 1/sr, for unit directions [..., 3]; 0 where either lies below the surface."""
    half = unit_last(to_light + to_eye)
    n_dot_l, n_dot_v = dot(surface.normal, to_light), dot(surface.normal, to_eye)
    above = ((n_dot_l > 0) & (n_dot_v > 0)).to(n_dot_l.dtype)
    n_dot_l, n_dot_v = n_dot_l.clamp(min=1e-4), n_dot_v.clamp(min=1e-4)
    fresnel = schlick(surface.f0, dot(to_eye, half))
    lobe = ggx(dot(surface.normal, half).clamp(0, 1), surface.alpha) * smith(n_dot_l, n_dot_v, surface.alpha)
    passed = (1 - schlick(DIELECTRIC_F0, n_dot_l)) * (1 - schlick(DIELECTRIC_F0, n_dot_v))
    base = passed * (1 - surface.metallic) * surface.albedo_linear / math.pi
    return above * (lobe * fresnel + base)


def point_light(surface: Surface, position: Tensor, to_eye: Tensor, light: Tensor, intensity: Tensor) -> Tensor:
    """Radiance towards the eye [..., 3] of points [..., 3] under a light at `light` [..., 3] that sends `intensity`
    [..., 3] (W/sr) everywhere. Nothing casts a shadow."""
    away = light - position
    squared = (away * away).sum(-1, keepdim=True)
    to_light = away / squared.sqrt()
    cosine = dot(surface.normal, to_light).clamp(min=0)
    return brdf(surface, to_light, to_eye) * cosine * intensity / squared


class Environment(NamedTuple):
    """Light from all around, averaged: `specular` [B, 3, LEVELS, ROWS, COLUMNS] under GGX lobes, `diffuse`
    [B, 3, 1, ROWS, COLUMNS] under the cosine, which makes both the radiance of a white surface."""

    specular: Tensor
    diffuse: Tensor


def environment(radiance: Tensor) -> Environment:
    """Of radiance [B, 3, ROWS, COLUMNS]: rows from zenith (+z) to nadir, columns around from +x over +y."""
    flat = radiance.flatten(2)
    averages = _averages(radiance.dtype).to(radiance.device)
    found = torch.einsum("bci,loi->bclo", flat, averages).unflatten(-1, (ROWS, COLUMNS))
    return Environment(found[:, :, :-1], found[:, :, -1:])


def image_light(surface: Surface, to_eye: Tensor, light: Environment) -> Tensor:
    """Radiance towards the eye [B, H, W, 3], by split sums."""
    n_dot_v = dot(surface.normal, to_eye).clamp(1e-3, 1)
    mirrored = 2 * n_dot_v * surface.normal - to_eye
    a, b = environment_brdf(n_dot_v, surface.roughness)
    specular = _look_up(light.specular, mirrored, surface.roughness) * (surface.f0 * a + b)
    diffuse = _look_up(light.diffuse, surface.normal, torch.zeros_like(surface.roughness))
    passed = (1 - schlick(DIELECTRIC_F0, n_dot_v)) * (1 - DIELECTRIC_F0) * 20 / 21  # the mean of 1 - F' over all light
    return specular + diffuse * passed * (1 - surface.metallic) * surface.albedo_linear


def environment_brdf(n_dot_v: Tensor, roughness: Tensor) -> tuple[Tensor, Tensor]:
    """The lobe's integral over all light is F0 a + b; [..., 1] each."""
    table = _environment_brdf_table(n_dot_v.dtype).to(n_dot_v.device)
    at = torch.cat([2 * n_dot_v - 1, 2 * roughness - 1], dim=-1).reshape(1, -1, 1, 2)
    found = F.grid_sample(table, at, padding_mode="border", align_corners=False)
    a, b = found[0, :, :, 0].reshape(2, *n_dot_v.shape)
    return a, b


def directions(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Centres of an environment's pixels [ROWS * COLUMNS, 3], and their solid angles [ROWS * COLUMNS] in sr."""
    polar = (torch.arange(ROWS, dtype=dtype) + 0.5) * math.pi / ROWS
    around = (torch.arange(COLUMNS, dtype=dtype) + 0.5) * 2 * math.pi / COLUMNS
    polar, around = (x.flatten() for x in torch.meshgrid(polar, around, indexing="ij"))
    found = torch.stack([polar.sin() * around.cos(), polar.sin() * around.sin(), polar.cos()], dim=-1)
    return found, polar.sin() * 2 * math.pi**2 / (ROWS * COLUMNS)


def dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def unit_last(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-8)


@lru_cache
def _averages(dtype: torch.dtype) -> Tensor:
    """[len(LEVELS) + 1, pixels, pixels]: rows that add up to 1, for each level and, last, for the diffuse base."""
    towards, solid = directions(torch.float64)
    cosine = (towards @ towards.T).clamp(min=0)
    rows = []
    for roughness in LEVELS:
        # With n = v = r, the half vector stands at half the angle between the mirrored and the incoming direction.
        n_dot_h = ((1 + towards @ towards.T) / 2).clamp(0, 1).sqrt()
        narrowest = 0.25  # a pixel of the environment is 11 degrees wide
        rows.append(ggx(n_dot_h, torch.tensor(max(roughness, narrowest) ** 2)) * cosine * solid)
    rows.append(cosine * solid)
    weights = torch.stack(rows)
    return (weights / weights.sum(-1, keepdim=True)).to(dtype)


def _look_up(light: Tensor, towards: Tensor, roughness: Tensor) -> Tensor:
    """light [B, 3, L, ROWS, COLUMNS], towards [B, H, W, 3], roughness [B, H, W, 1] -> [B, H, W, 3]."""
    x, y, z = towards.unbind(-1)
    row = torch.acos(z.clamp(-0.9999, 0.9999)) / math.pi
    column = torch.atan2(y, x + 1e-9) / (2 * math.pi) % 1
    wrapped = torch.cat([light[..., -1:], light, light[..., :1]], dim=-1)
    across = 2 * (column * COLUMNS + 1) / (COLUMNS + 2) - 1
    levels = light.shape[2]
    depth = 2 * (_level_of(roughness[..., 0]) + 0.5) / levels - 1
    at = torch.stack([across, 2 * row - 1, depth], dim=-1).unsqueeze(1)
    return F.grid_sample(wrapped, at, padding_mode="border", align_corners=False)[:, :, 0].movedim(1, -1)


def _level_of(roughness: Tensor) -> Tensor:
    """Where LEVELS, as numbers 0 .. len - 1, have this roughness."""
    found = torch.zeros_like(roughness)
    for below, above in pairwise(LEVELS):
        found = found + ((roughness - below) / (above - below)).clamp(0, 1)
    return found


@lru_cache
def _environment_brdf_table(dtype: torch.dtype, side: int = 32, samples: int = 512) -> Tensor:
    """[1, 2, roughness, n.v], a and b at the centres of a grid, by importance sampling of GGX (Karis 2013)."""
    centres = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    roughness, n_dot_v = torch.meshgrid(centres, centres, indexing="ij")
    roughness, n_dot_v = roughness[..., None], n_dot_v[..., None]
    first = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
    second = (torch.arange(samples, dtype=torch.float64) * 0.6180339887498949) % 1  # golden ratio
    alpha = roughness.clamp(min=LEAST_ROUGHNESS) ** 2
    cosine = ((1 - first) / (1 + (alpha**2 - 1) * first)).sqrt()
    sine = (1 - cosine**2).clamp(min=0).sqrt()
    v_dot_h = (sine * (2 * math.pi * second).cos() * (1 - n_dot_v**2).sqrt() + cosine * n_dot_v).clamp(min=0)
    n_dot_l = 2 * v_dot_h * cosine - n_dot_v
    visible = 4 * smith(n_dot_l.clamp(min=1e-4), n_dot_v, alpha) * n_dot_l.clamp(min=0) * v_dot_h / cosine
    fresnel = (1 - v_dot_h) ** 5
    a, b = ((1 - fresnel) * visible).mean(-1), (fresnel * visible).mean(-1)
    return torch.stack([a, b]).unsqueeze(0).to(dtype)
