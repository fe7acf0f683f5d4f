"""What a model of the staged plan is worth, from one picture of textures that no training has seen.

mean_map         the average of all families, the same for every texture
albedo_is_input  the diffuse, taken for the albedo; it says nothing of the other maps

Textures are lit evenly, with their normals given and (`without_normals`) not, and `baked`, as a game's are. Those of a
folder have the light that they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.materials.evaluate import (
    AVERAGED,
    EACH,
    MOST_SAMPLES,
    SIDE,
    albedo_figures,
    perceived,
    perceptual,
)
from terrarium.worlds.materials.maps import ALBEDO, NORMAL
from terrarium.worlds.materials.metrics import (
    angle_figures,
    lit,
    lit_psnr,
    map_figures,
    normal_angles_deg,
    picture_figures,
)
from terrarium.worlds.materials.procedural import FAMILIES, SIZES, material
from terrarium.worlds.materials.splits import FIRST_HELD_OUT_SEED
from terrarium.worlds.materials.texture.dataset import even_diffuse, game_diffuse
from terrarium.worlds.materials.texture.infer import FOUND, infer
from terrarium.worlds.materials.texture.model import TextureNet
from terrarium.worlds.materials.texture.sample import AO, CHANNELS, DIFFUSE, HEIGHT, UNKNOWN
from terrarium.worlds.materials.texture.textures import open_textures

Samples = Sequence[Tensor]  # [14, S, S] each (sample.py)


def evaluate(model: TextureNet, side: int, seed: int, folder: Path | None = None, size: int = SIDE) -> dict[str, Any]:
    """Figures of procedural textures of this seed on `size` pixels, or of those of `folder`; `side` is that of the
    model's tiles. ValueError for a negative seed, a size that does not fit, or a folder that cannot be read."""
    if not 0 <= seed < 2**20:
        raise ValueError(f"seed {seed}: expected 0 to {2**20 - 1}")
    if not 32 <= size <= SIZES[1] // 2:
        raise ValueError(f"size {size}: expected 32 to {SIZES[1] // 2} pixels")
    told = {"seed": seed, "lpips": perceptual().facts}
    if folder is not None:
        given = samples_in(folder)
        bare = figures_of(model, side, given, normals=False)
        return {**told, "data": str(folder), **figures_of(model, side, given), "without_normals": bare}
    even, baked = held_out(seed, size)
    return {
        **told,
        "size": size,
        **figures_of(model, side, even),
        "without_normals": figures_of(model, side, even, normals=False),
        "baked": figures_of(model, side, baked),
    }


def held_out(seed: int, size: int) -> tuple[Samples, Samples]:
    """Textures of all families, evenly lit, and with a game's light baked in."""
    even, baked = list[Tensor](), list[Tensor]()
    for family in FAMILIES:
        for i in range(EACH):
            number = FIRST_HELD_OUT_SEED + seed * EACH + i
            made = material(family, number, size)
            maps, ao, height = (torch.from_numpy(each) for each in (made.maps, made.ao, made.height))
            diffuse = even_diffuse(maps[ALBEDO], ao), game_diffuse(maps, ao, height, np.random.default_rng(number))
            for samples, picture in zip((even, baked), diffuse, strict=True):
                unlabelled = torch.full_like(ao, UNKNOWN)
                samples.append(torch.cat([maps, ao[None], height[None], picture, unlabelled[None]]))
    assert all(len(sample) == CHANNELS for sample in even)
    return even, baked


def samples_in(folder: Path) -> Samples:
    """ValueError where one is no square."""
    textures = open_textures(folder)
    found = [textures.read(name) for name in textures.names[:MOST_SAMPLES]]
    for name, sample in zip(textures.names, found, strict=False):
        if sample.shape[-1] != sample.shape[-2]:
            raise ValueError(f"{folder}: {name} has {sample.shape[-1]} x {sample.shape[-2]} pixels, expected a square")
    return found


def figures_of(model: TextureNet, side: int, samples: Samples, *, normals: bool = True) -> dict[str, Any]:
    """{materials, maps, rerender_psnr, baselines}, and normal_deg where the normals are found."""
    found = [infer(model, side, x[DIFFUSE], x[NORMAL] if normals else None) for x in samples]
    average = [mean_maps().view(-1, 1, 1).expand(FOUND.stop, *x.shape[-2:]).clone() for x in samples]
    if normals:
        for mean, x in zip(average, samples, strict=True):
            mean[NORMAL] = x[NORMAL]
    as_is = [albedo_figures(x[None, DIFFUSE], x[None, :8]) for x in samples]
    return {
        "materials": len(samples),
        **scores(found, samples, normals),
        "baselines": {
            "mean_map": scores(average, samples, normals),
            "albedo_is_input": {"maps": {"albedo": mean_of(as_is)}},
        },
    }


def scores(found: Samples, samples: Samples, normals: bool) -> dict[str, Any]:
    """Means over the textures of each one's own; a map counts where it is known, normals where they are found."""
    maps: dict[str, list[dict[str, float]]] = {}
    lights, angles = [], []
    for out, x in zip(found, samples, strict=True):
        a, b = out[None, :8], x[None, :8]
        each = perceived(map_figures(a, b), a, b)
        if normals:
            del each["normal"]
        else:
            angles.append(normal_angles_deg(a, b))
        for name, at in (("ao", AO), ("height", HEIGHT)):
            if float(x[at].min()) >= 0:
                each[name] = picture_figures(out[None, at], x[None, at])
        for name, figures in each.items():
            maps.setdefault(name, []).append(figures)
        lights.append(lit_psnr(lit(a), lit(b)))
    told = {"maps": {name: mean_of(each) for name, each in maps.items()}}
    return told | ({"normal_deg": angle_figures(angles)} if angles else {}) | {"rerender_psnr": float(np.mean(lights))}


def mean_of(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}


@lru_cache
def mean_maps() -> Tensor:
    """[10], over all families; the normal points straight out."""
    made = [material(family, seed, 64) for family in FAMILIES for seed in range(AVERAGED)]
    shown = [np.concatenate([one.maps, one.ao[None], one.height[None]]).mean((1, 2)) for one in made]
    mean = torch.from_numpy(np.stack(shown).mean(0))
    mean[NORMAL] = torch.tensor([0.0, 0.0, 1.0])
    return mean
