"""terrarium infer material 0.png 1.png 2.png --out maps
terrarium infer material bricks.png --normal bricks_normal.png --model out/texture --out maps"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

POSES = 'From where views were taken: {"poses": [[polar_deg, azimuth_deg, distance], ...]}.'
MODEL = "Folder of a model, of the job that made it, or of a texture plan. If omitted, one that comes with Terrarium."
app = typer.Typer(no_args_is_help=True, help="Use a trained model on files of your own.")


@app.callback()
def _group() -> None:
    """Keeps `material` a command of its own while it is the only one."""


@app.command("material")
def material(
    images: Annotated[list[Path], typer.Argument(help="Three views of one surface, or one diffuse texture; squares.")],
    out: Annotated[Path, typer.Option(help="Folder for the maps; replaced.")],
    model: Annotated[Path | None, typer.Option(help=MODEL)] = None,
    poses: Annotated[Path | None, typer.Option(help=POSES)] = None,
    normal: Annotated[Path | None, typer.Option(help="Normal map of the diffuse texture.")] = None,
    directx: Annotated[bool, typer.Option(help="Its green points down, as DirectX has it.")] = False,
) -> None:
    """Turn three views of a surface, or one diffuse texture, into its maps and a glTF material."""
    from terrarium.worlds.materials.infer_job import infer_files

    folder = None if model is None or str(model) == "shipped" else _model_in(model)
    found = infer_files(images, out, folder, poses=poses, normal=normal, directx=directx)
    print(json.dumps({"out": str(out), **found}))


def _model_in(folder: Path) -> Path:
    """Of a plan the last of its phases that has been trained."""
    from terrarium.worlds.plans import TEXTURE

    outputs = [folder, folder / "output", *(folder / step / "output" for step in reversed(TEXTURE))]
    return next((each for each in outputs if (each / "manifest.json").is_file()), folder)
