"""What a model of materials is worth, beside baselines on the same views.

mean_map         the average of the families that training sees, the same for everyone
albedo_is_input  the mean of the three rectified views, taken for the albedo; it says nothing of the other maps
single_view      the model, given the first view alone
without_fusion   the mean of the model's three single-view outputs

Held out by seed (families that training sees) and by family (four that it never sees), or the samples of a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from terrarium.worlds.materials.data import as_tensors, held_out, part_of, part_poses
from terrarium.worlds.materials.maps import ALBEDO, NORMAL, unit
from terrarium.worlds.materials.matsynth import list_materials, read_maps
from terrarium.worlds.materials.metrics import Figures, angle_figures, lit, lit_psnr, map_figures, normal_angles_deg
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.multi_view import MultiView
from terrarium.worlds.materials.photograph import photograph, rectified
from terrarium.worlds.materials.procedural import material
from terrarium.worlds.materials.sheets import save_sheet
from terrarium.worlds.materials.splits import HELD_OUT_FAMILIES, SEEN_FAMILIES
from terrarium.worlds.materials.train import Examples, predict
from terrarium.worlds.pictures.perceptual import LPIPS

SIDE = 128  # pixels of procedural materials
EACH = 2  # materials of a family
DRAWN = 8  # materials on a sheet
AVERAGED = 4  # materials of a family that the mean map is an average of
MOST_SAMPLES = 200  # of a folder


def evaluate(
    model: MaterialNet, seed: int, folder: Path | None = None, side: int = SIDE, sheet: Path | None = None
) -> dict[str, Any]:
    """Figures of `folder`, or of procedural materials of this seed on `side` pixels, those of held-out families under
    `by_family`. `sheet` is a picture to write of eight of them, evenly taken. ValueError for a negative seed, a side
    that does not fit, or a folder that cannot be read."""
    if not 0 <= seed < 2**20:
        raise ValueError(f"seed {seed}: expected 0 to {2**20 - 1}")
    if side % model.cell or not 32 <= side <= 1024:
        raise ValueError(f"size {side}: expected 32 to 1024 pixels, a multiple of {model.cell}")
    mean = mean_maps()
    told = {"seed": seed, "lpips": perceptual().facts}
    if folder is not None:
        examples = examples_in(folder, seed, model.cell)
        draw(sheet, model, examples)
        return {**told, "data": str(folder), **figures_of(model, examples, mean)}
    by_seed, by_family = (held_out(seed, families, EACH, side) for families in (SEEN_FAMILIES, HELD_OUT_FAMILIES))
    draw(sheet, model, by_seed)
    return {
        **told,
        "size": side,
        **figures_of(model, by_seed, mean),
        "by_family": {"families": list(HELD_OUT_FAMILIES), **figures_of(model, by_family, mean)},
    }


def draw(sheet: Path | None, model: MaterialNet, examples: Examples) -> None:
    if sheet is not None:
        step = -(-len(examples[0]) // DRAWN)
        views, poses, maps = (x[::step] for x in examples)
        save_sheet(sheet, views, predict(model, views, poses), maps)


def figures_of(model: MaterialNet, examples: Examples, mean: Tensor) -> dict[str, Any]:
    """{maps, normal_deg, rerender_psnr} of three views; the same of baselines, of two views, and with the views'
    poses shuffled."""
    views, poses, maps = examples
    single = [predict(model, views[:, i : i + 1], poses[:, i : i + 1]) for i in range(views.shape[1])]
    average = torch.stack(single).mean(0)
    average[:, NORMAL] = unit(average[:, NORMAL])
    flat = mean.view(1, -1, 1, 1).expand_as(maps)
    whole = partial(all_figures, true=maps, true_lit=lit(maps))
    return {
        "materials": len(maps),
        **whole(predict(model, views, poses)),
        "baselines": {
            "mean_map": whole(flat),
            "albedo_is_input": {"maps": {"albedo": albedo_figures(views.mean(1), maps)}},
            "single_view": whole(single[0]),
            "without_fusion": whole(average),
        },
        "two_views": whole(predict(model, views[:, :2], poses[:, :2])),
        "shuffled_poses": whole(predict(model, *shuffled(views, poses))),
    }


def all_figures(found: Tensor, true: Tensor, true_lit: Tensor) -> dict[str, Any]:
    return {
        "maps": perceived(map_figures(found, true), found, true),
        "normal_deg": angle_figures([normal_angles_deg(found, true)]),
        "rerender_psnr": lit_psnr(lit(found), true_lit),
    }


def albedo_figures(albedo: Tensor, true: Tensor) -> dict[str, float]:
    """Of an albedo without other maps."""
    found = torch.cat([albedo, true[:, ALBEDO.stop :]], dim=1)
    return perceived(map_figures(found, true), found, true)["albedo"]


def perceived(figures: Figures, found: Tensor, true: Tensor) -> Figures:
    """The same with the perceptual distance of the albedos."""
    distance = perceptual()(*(2 * maps[:, ALBEDO] - 1 for maps in (found, true)))
    return figures | {"albedo": figures["albedo"] | {"lpips": float(distance.mean())}}


def shuffled(views: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Each view with the pose of the next: told wrongly where it was taken from. The pictures stay rectified, so that
    this measures what the model reads from poses and not the blur of a wrong rectification."""
    return views, poses.roll(1, 1)


@lru_cache
def perceptual() -> LPIPS:
    """On the trunk that needs no file: its distances are comparable with each other alone, and `facts` says so."""
    return LPIPS("random")


@lru_cache
def mean_maps() -> Tensor:
    """[8], over the families that training sees; its normal points straight out."""
    shown = [material(f, seed, 64).maps.mean((1, 2)) for f in SEEN_FAMILIES for seed in range(AVERAGED)]
    mean = torch.stack([torch.from_numpy(each) for each in shown]).mean(0)
    mean[NORMAL] = torch.tensor([0.0, 0.0, 1.0])
    return mean


def examples_in(folder: Path, seed: int, cell: int) -> Examples:
    """Of a folder in either layout, cut to a multiple of `cell`; MatSynth's materials are rendered here. ValueError
    where the samples are of several sizes."""
    if (folder / "render_metadata.json").is_file() or (folder / "input").is_dir():
        data = MultiView(folder)
        found = [as_tensors(data.read(name, data.kinds[0])) for name in list(data.materials)[:MOST_SAMPLES]]
        _check_one_size(folder, [maps for _, _, maps in found])
        views, poses, maps = (torch.stack(parts) for parts in zip(*found, strict=True))
        return _cut(views, poses, maps, cell)
    read = [torch.from_numpy(read_maps(folder / name)) for name in list_materials(folder)[:MOST_SAMPLES]]
    _check_one_size(folder, read)
    maps = torch.stack(read)
    views, poses = photograph(maps, torch.Generator().manual_seed(seed))
    return _cut(rectified(views, poses), poses, maps, cell)


def _cut(views: Tensor, poses: Tensor, maps: Tensor, cell: int) -> Examples:
    full = maps.shape[-1]
    side = full // cell * cell
    return part_of(views, 0, 0, side), part_poses(poses, full, 0, 0, side), part_of(maps, 0, 0, side)


def _check_one_size(folder: Path, pictures: Sequence[Tensor]) -> None:
    sizes = sorted({tuple(each.shape[-2:]) for each in pictures})
    if len(sizes) > 1 or sizes[0][0] != sizes[0][1]:
        raise ValueError(f"{folder} holds pictures of {sizes} rows and columns, expected squares of one size")
