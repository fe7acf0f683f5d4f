"""Recipe `material.infer`: pictures of a surface -> a material. `infer_files` does the same on files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from terrarium.worlds.durable import new_folder
from terrarium.worlds.materials.files import write_picture
from terrarium.worlds.materials.given import Given, given, given_files
from terrarium.worlds.materials.kinds import MaterialInferConfig
from terrarium.worlds.materials.metrics import angle_figures, map_figures, normal_angles_deg
from terrarium.worlds.materials.outputs import write_outputs
from terrarium.worlds.progress import Progress, Silent, go_on

STEPS = 4  # looked at, maps found, compared, written


def infer_material(config: MaterialInferConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Pictures and model are checked before anything is computed. A run that was cut short is made anew."""
    pictures = given(config)
    started = time.monotonic()
    result = find_maps(pictures, out_dir / "output", progress)
    progress.preview("sphere", out_dir / "output" / "sphere.png")
    progress.step(STEPS, STEPS, "drawing")
    return result | {"seconds": round(time.monotonic() - started, 1)}


def infer_files(
    images: Sequence[Path],
    out: Path,
    model: Path | None = None,
    *,
    poses: Path | None = None,
    normal: Path | None = None,
    directx: bool = False,
) -> dict[str, Any]:
    """Writes the maps of three views or of one diffuse texture to `out`, which is replaced -> what was found, and
    {"files": names}. ValueError as of `given_files`."""
    result = find_maps(given_files(images, model, poses, normal, directx=directx), out, Silent())
    return result | {"files": sorted(file.name for file in out.iterdir())}


def find_maps(pictures: Given, out: Path, progress: Progress) -> dict[str, Any]:
    """Writes the folder of the material -> its facts; figures where the truth is known."""
    go_on(progress, 1, STEPS, "finding maps")
    maps, others = pictures.find()
    go_on(progress, 2, STEPS, "comparing")
    confidence = pictures.agreement()
    go_on(progress, 3, STEPS, "drawing")
    figures = {} if pictures.truth is None else {"figures": figures_of(maps, pictures.truth)}
    result = {"size": maps.shape[-1], "confidence": float(confidence.mean()), **figures}
    with new_folder(out) as folder:
        for name, picture in pictures.pictures.items():
            write_picture(folder / f"{name}.png", picture.numpy())
        found = {name: x.numpy() for name, x in (others | {"confidence": confidence}).items()}
        write_outputs(folder, maps.numpy(), found, pictures.facts | result)
    return result


def figures_of(found: Tensor, true: Tensor) -> dict[str, Any]:
    """{maps: {map: {psnr, rmse, mae, ssim}}, normal_deg: {mean, median, p90, p95}} of maps [8, S, S]."""
    angles = normal_angles_deg(found[None], true[None])
    return {"maps": map_figures(found[None], true[None]), "normal_deg": angle_figures([angles])}
