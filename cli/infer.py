"""terrarium infer material 0.png 1.png 2.png --out maps"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

POSES = 'From where they were taken: {"poses": [[polar_deg, azimuth_deg, distance], ...]}.'
app = typer.Typer(no_args_is_help=True, help="Use a trained model on files of your own.")


@app.callback()
def _group() -> None:
    """Keeps `material` a command of its own while it is the only one."""


@app.command("material")
def material(
    images: Annotated[list[Path], typer.Argument(help="Three square pictures of one surface.")],
    out: Annotated[Path, typer.Option(help="Folder for the maps; replaced.")],
    checkpoint: Annotated[Path, typer.Option(help="Folder of a material model.")] = Path("shipped"),
    poses: Annotated[Path | None, typer.Option(help=POSES)] = None,
) -> None:
    """Turn three views of a surface into albedo, roughness, metallic and normal maps and a glTF material."""
    from terrarium.worlds.materials.infer import infer_files
    from terrarium.worlds.materials.model import load_model

    print(json.dumps({"out": str(out), **infer_files(load_model(checkpoint)[0], images, out, poses)}))
