"""Recipe `material.infer`: three views of a surface -> a material."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from terrarium.worlds.durable import new_folder
from terrarium.worlds.materials.files import read_views, write_picture
from terrarium.worlds.materials.infer import agreement, infer, read_poses
from terrarium.worlds.materials.kinds import MaterialInferConfig
from terrarium.worlds.materials.manifest import VIEW_FILES, check_material, check_view_set
from terrarium.worlds.materials.matsynth import read_maps
from terrarium.worlds.materials.metrics import angle_figures, map_figures, normal_angles_deg
from terrarium.worlds.materials.model import load_model
from terrarium.worlds.materials.outputs import write_outputs
from terrarium.worlds.materials.photograph import dirty, photograph
from terrarium.worlds.progress import Progress, go_on

STEPS = 4  # looked at, maps found, views compared, written


@dataclass(frozen=True, eq=False)
class Seen:
    """`views` [3, 3, S, S] in sRGB as they were taken from `poses` [3, 3], None where those are unknown; `maps`
    [8, S, S] where the truth is known."""

    views: Tensor
    poses: Tensor | None
    maps: Tensor | None


def infer_material(config: MaterialInferConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Views and model are checked before anything is computed. A run that was cut short is made anew."""
    seen = _seen(config)
    model, _ = load_model(Path(config.model or "shipped"))
    started = time.monotonic()
    go_on(progress, 1, STEPS, "finding maps")
    found = infer(model, seen.views, seen.poses)
    go_on(progress, 2, STEPS, "comparing the views")
    confidence = agreement(model, seen.views, seen.poses)
    go_on(progress, 3, STEPS, "drawing")
    figures = {} if seen.maps is None else {"figures": figures_of(found, seen.maps)}
    result = {"size": found.shape[-1], "confidence": float(confidence.mean()), **figures}
    told = {"posed": seen.poses is not None, **result}
    with new_folder(out_dir / "output") as folder:
        for name, view in zip(VIEW_FILES, seen.views, strict=True):
            write_picture(folder / f"view_{name}", view.numpy())
        write_outputs(folder, found.numpy(), {"confidence": confidence.numpy()}, told)
    progress.preview("sphere", out_dir / "output" / "sphere.png")
    progress.step(STEPS, STEPS, "drawing")
    return result | {"seconds": round(time.monotonic() - started, 1)}


def figures_of(found: Tensor, true: Tensor) -> dict[str, Any]:
    """{maps: {map: {psnr, rmse, mae, ssim}}, normal_deg: {mean, median, p90, p95}} of maps [8, S, S]."""
    angles = normal_angles_deg(found[None], true[None])
    return {"maps": map_figures(found[None], true[None]), "normal_deg": angle_figures([angles])}


def _seen(config: MaterialInferConfig) -> Seen:
    folder = Path(config.views)
    if not (folder / VIEW_FILES[0]).is_file():
        return _rendered(folder, config)
    check_view_set(folder)
    views = torch.from_numpy(read_views([folder / name for name in VIEW_FILES]))
    poses = folder / "poses.json"
    return Seen(views, torch.from_numpy(read_poses(poses)) if poses.is_file() else None, None)


def _rendered(folder: Path, config: MaterialInferConfig) -> Seen:
    """Three views of a material, in 8 bits as a camera's."""
    check_material(folder)
    maps = torch.from_numpy(read_maps(folder))
    generator = torch.Generator().manual_seed(config.seed)
    views, poses = photograph(maps[None], generator)
    if config.dirty:
        views = dirty(views, generator)
    return Seen((255 * views[0]).round() / 255, poses[0], maps)
