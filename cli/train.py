"""terrarium train world-model --preset cpu --data data/plains --out out/plains
terrarium play --checkpoint out/plains/world-model/output

Without --tokenizer a tokenizer is trained first, into <out>/world-model/tokenizer. The same command goes on after a
stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from terrarium.cli.console import configure, option, run_recipe, say_what_next

app = typer.Typer(no_args_is_help=True, help="Train a tokenizer or a world model, here and now.")

Preset = Annotated[str, typer.Option(help="debug, cpu, small or ochre.")]
Data = Annotated[Path, option("tokenizer.train", "data")]
Out = Annotated[Path, typer.Option(help="Folder for states, previews and the finished checkpoint (<out>/.../output).")]
Steps = Annotated[int | None, option("tokenizer.train", "steps")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any other field of the config: key=value.")]


@app.command()
def tokenizer(
    data: Data, out: Out = Path("out"), preset: Preset = "cpu", steps: Steps = None, set_: Set = None
) -> None:
    """Train a tokenizer on the frames of a dataset."""
    _train("tokenizer.train", preset, {"data": str(data), "steps": steps}, set_, out / "tokenizer")


@app.command("world-model")
def world_model(
    data: Data,
    out: Out = Path("out"),
    preset: Preset = "cpu",
    tokenizer: Annotated[str | None, option("world-model.train", "tokenizer")] = None,
    start: Annotated[str | None, option("world-model.train", "start")] = None,
    steps: Steps = None,
    set_: Set = None,
) -> None:
    """Train a world model on a dataset, and first a tokenizer where none is given."""
    given = {"data": str(data), "tokenizer": tokenizer, "start": start, "steps": steps}
    _train("world-model.train", preset, given, set_, out / "world-model")


@app.command()
def judge(data: Data, out: Out = Path("out"), preset: Preset = "cpu", steps: Steps = None, set_: Set = None) -> None:
    """Train the evaluation's judge of keys on a block-world dataset."""
    _train("judge.train", preset, {"data": str(data), "steps": steps}, set_, out / "judge")


@app.command()
def probe(data: Data, out: Out = Path("out"), preset: Preset = "cpu", steps: Steps = None, set_: Set = None) -> None:
    """Train the evaluation's probe of pictures on a block-world dataset."""
    _train("probe.train", preset, {"data": str(data), "steps": steps}, set_, out / "probe")


def _train(kind: str, preset: str, given: dict[str, Any], assignments: list[str] | None, out: Path) -> None:
    config = configure(kind, preset, given, assignments or [])
    print(json.dumps(run_recipe(config, out) | {"checkpoint": str(out / "output")}))
    say_what_next(kind, out / "output")
