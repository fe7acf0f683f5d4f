"""Recipe `texture.dataset`: procedural textures that stand in for one of the staged plan's two domains.

clean   MatSynth's layout: an even light, a category each
game    a game's pairs: the diffuse has baked sun, occlusion, a cold white balance and a vignette, and was compressed as
        JPEG; every fifth has no diffuse of its own
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from terrarium.worlds.materials.colour import linear_to_srgb, srgb_to_linear
from terrarium.worlds.materials.families.layers import CLASSES
from terrarium.worlds.materials.files import write_picture
from terrarium.worlds.materials.maps import ALBEDO, NORMAL, Material
from terrarium.worlds.materials.matsynth import write_category, write_material
from terrarium.worlds.materials.procedural import FAMILIES, material
from terrarium.worlds.materials.texture.augment import occlusion_tint, vignette, white_balance
from terrarium.worlds.materials.texture.kinds import TextureDatasetConfig
from terrarium.worlds.materials.texture.manifest import describe_textures
from terrarium.worlds.materials.texture.sunlit import highlight, some_sun, synthetic_diffuse
from terrarium.worlds.progress import Progress, Stopped

WITHOUT_DIFFUSE = 5  # of so many game textures one
SHADE = 0.4  # how much of a diffuse's even light occlusion takes away


def make_textures(config: TextureDatasetConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """A run that was cut short is made anew: textures take milliseconds."""
    folder = out_dir / "output"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(config.materials):
        if progress.stop_requested():
            raise Stopped
        made = material(list(FAMILIES)[number % len(FAMILIES)], config.seed + number, config.size)
        if config.domain == "clean":
            write_clean(folder / made.name, made)
        else:
            write_game(folder, made, np.random.default_rng(config.seed + number), number % WITHOUT_DIFFUSE == 0)
        progress.step(number + 1, config.materials, "drawing")
    describe_textures(folder, {"domain": config.domain})
    return {"domain": config.domain, "materials": config.materials, "size": config.size}


def write_clean(folder: Path, made: Material) -> None:
    folder.mkdir()
    write_material(folder, made)
    even = even_diffuse(torch.from_numpy(made.maps[ALBEDO]), torch.from_numpy(made.ao))
    write_picture(folder / "diffuse.png", even.numpy())
    write_category(folder, CLASSES[int(np.bincount(made.classes.ravel()).argmax())])


def write_game(folder: Path, made: Material, rng: np.random.Generator, without_diffuse: bool) -> None:
    maps = made.maps
    pictures = {
        "basecolor": maps[ALBEDO],
        "normal": 0.5 + 0.5 * maps[NORMAL],
        "roughness": maps[3],
        "metallic": maps[4],
    }
    pictures |= {"ao": made.ao, "parallax": made.height, "specular": np.full_like(made.ao, 0.5)}
    if not without_diffuse:
        of, ao, height = (torch.from_numpy(each) for each in (made.maps, made.ao, made.height))
        pictures["diffuse"] = compressed(game_diffuse(of, ao, height, rng), int(rng.integers(60, 90)))
    for what, pixels in pictures.items():
        write_picture(folder / f"{made.name}_{what}.png", pixels)


def even_diffuse(albedo: Tensor, ao: Tensor) -> Tensor:
    """[3, H, W] in sRGB of an albedo like it and its occlusion [H, W], under a light from everywhere."""
    return linear_to_srgb(srgb_to_linear(albedo) * (1 - SHADE * (1 - ao)))


def game_diffuse(maps: Tensor, ao: Tensor, height: Tensor, rng: np.random.Generator) -> Tensor:
    """[3, H, W] in sRGB of maps [8, H, W], occlusion and height [H, W], as an artist of the time baked it."""
    sun = some_sun(rng)
    shine = highlight(maps[NORMAL], maps[3:4], sun)
    lit = linear_to_srgb(synthetic_diffuse(srgb_to_linear(maps[ALBEDO]), maps[NORMAL], height[None], shine, sun))
    lit = lit * ao.sqrt() * occlusion_tint(lit, rng.uniform(0.10, 0.25))
    lit = lit * white_balance(rng.uniform(0.90, 0.98), rng.uniform(1.02, 1.10))
    return (lit * vignette(lit.shape[-2], lit.shape[-1], rng.uniform(0.85, 0.95))).clamp(0, 1)


def compressed(picture: Tensor, quality: int) -> np.ndarray:
    """[3, H, W] after JPEG."""
    pixels = (255 * picture.permute(1, 2, 0)).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(stream := io.BytesIO(), "JPEG", quality=quality)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1) / 255
