"""Recipe `material.make`: a procedural material as an asset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from terrarium.worlds.durable import new_folder
from terrarium.worlds.materials.kinds import MaterialMakeConfig
from terrarium.worlds.materials.outputs import write_outputs
from terrarium.worlds.materials.procedural import material
from terrarium.worlds.progress import Progress


def make_material(config: MaterialMakeConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    progress.step(0, 1, "making")
    made = material(config.family, config.seed, config.size)
    told = {"family": config.family, "seed": config.seed}
    with new_folder(out_dir / "output") as folder:
        write_outputs(folder, made.maps, {"ao": made.ao, "height": made.height}, told)
    progress.preview("sphere", out_dir / "output" / "sphere.png")
    progress.step(1, 1, "making")
    return told | {"size": config.size}
