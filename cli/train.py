"""terrarium train world-model --preset cpu --data data/plains --out out/plains
terrarium play --checkpoint out/plains/world-model/output

Without --tokenizer a tokenizer is trained first, into <out>/tokenizer. The same command goes on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.console import checkpoint_folder, configure, run_recipe

app = typer.Typer(no_args_is_help=True, help="Train a tokenizer or a world model, here and now.")

Preset = Annotated[str, typer.Option(help="debug, cpu, small or ochre.")]
Data = Annotated[Path, typer.Option(help="Folder of a dataset.")]
Out = Annotated[Path, typer.Option(help="Folder for states, previews and the finished checkpoint (<out>/.../output).")]
Steps = Annotated[int | None, typer.Option(help="Training steps.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any other field of the config: key=value.")]


@app.command()
def tokenizer(
    data: Data, out: Out = Path("out"), preset: Preset = "cpu", steps: Steps = None, set_: Set = None
) -> None:
    """Train a tokenizer on the frames of a dataset."""
    config = configure("tokenizer.train", preset, {"data": str(data), "steps": steps}, set_ or [])
    print(json.dumps(run_recipe(config, out / "tokenizer") | {"checkpoint": str(out / "tokenizer" / "output")}))


@app.command("world-model")
def world_model(
    data: Data,
    out: Out = Path("out"),
    preset: Preset = "cpu",
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of a tokenizer, or of a world model, whose tokenizer is meant.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="World model to go on from: a folder, or shipped. Brings its tokenizer.")
    ] = None,
    steps: Steps = None,
    set_: Set = None,
) -> None:
    """Train a world model on a dataset, and first a tokenizer where none is given."""
    start = str(checkpoint_folder(start)) if start else None
    tokenizer = tokenizer or (Path(start) if start else None)
    given = {"data": str(data), "tokenizer": str(tokenizer or out / "tokenizer" / "output"), "steps": steps}
    given |= {"start": start} if start else {}
    config = configure("world-model.train", preset, given, set_ or [])
    if tokenizer is None and not (out / "tokenizer" / "output" / "manifest.json").is_file():
        run_recipe(configure("tokenizer.train", preset, {"data": str(data)}, []), out / "tokenizer")
    print(json.dumps(run_recipe(config, out / "world-model") | {"checkpoint": str(out / "world-model" / "output")}))


@app.command()
def judge(data: Data, out: Out = Path("out"), preset: Preset = "cpu", steps: Steps = None, set_: Set = None) -> None:
    """Train the evaluation's judge of keys on a block-world dataset."""
    config = configure("judge.train", preset, {"data": str(data), "steps": steps}, set_ or [])
    print(json.dumps(run_recipe(config, out / "judge") | {"checkpoint": str(out / "judge" / "output")}))
