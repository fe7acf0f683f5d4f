"""A recipe run in this terminal: a progress bar with ETA, metrics as lines, Ctrl-C saves and stops."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from terrarium import recipes
from terrarium.cli.curves import Curves
from terrarium.recipes import Interrupt, help_text, known_kind, run_config
from terrarium.store import disk
from terrarium.worlds.kinds import asset_types, kinds
from terrarium.worlds.progress import RecipeError, Role, Stopped


def configure(kind: str, preset: str | None, given: Mapping[str, Any], assignments: list[str]) -> Any:
    """The preset's config, with the flags that were given and `--set key=value` on top, validated."""
    return recipes.configure(kind, preset, parse_fields(kind, given, assignments))


def parse_fields(kind: str, given: Mapping[str, Any], assignments: list[str]) -> dict[str, Any]:
    """The flags that were given, and `--set key=value` on top. ValueError for another key."""
    values = {name: value for name, value in given.items() if value is not None}
    names = [field.name for field in fields(known_kind(kind).config) if field.name != "kind"]
    for assignment in assignments:
        key, sep, value = assignment.partition("=")
        if not sep or key not in names:
            raise ValueError(f"--set {assignment!r}: expected key=value with a key of {', '.join(names)}")
        values[key] = json.loads(value) if value.startswith("[") else value
    return values


def option(kind: str, field: str, *names: str) -> Any:
    """A flag for a field of a kind's config, with its help text."""
    return typer.Option(*names, help=help_text(kind, field))


def run_recipe(config: Any, out: Path, curves: Path | None = None) -> dict[str, Any]:
    """Runs a recipe into `out` and returns its result; its metrics go to TensorBoard's files in `curves` besides.
    Ctrl-C or a named failure ends the program with one line."""
    with ConsoleProgress(config.kind, None if curves is None else Curves(curves)) as progress:
        try:
            return run_config(config, out, progress)
        except Stopped:
            typer.echo(f"stopped; the same command goes on from the state in {out}", err=True)
            raise typer.Exit(130) from None
        except RecipeError as e:
            typer.echo(f"terrarium: {e.code}: {e}", err=True)
            raise typer.Exit(1) from None
        except Exception as e:
            if not disk.says_full(e) and not disk.is_full(out):
                raise
            free = disk.human(disk.free_bytes(out))
            message = f"{e}; {free} are free; the same command goes on from the state in {out}"
            typer.echo(f"terrarium: disk_full: {message}", err=True)
            raise typer.Exit(1) from None


def say_what_next(kind: str, output: Path) -> None:
    """What a person may do with what a finished job left in `output` (on stderr: stdout is JSON)."""
    makes = kinds()[kind].makes
    folder = shlex.quote(str(output))
    if makes == "world-model":
        typer.echo(f"Play it: terrarium play --checkpoint {folder}", err=True)
    if makes in asset_types():
        typer.echo(f"List it in the library: terrarium add {folder}", err=True)


class ConsoleProgress:
    """worlds.progress.Progress on a terminal (stderr, so that stdout stays JSON)."""

    def __init__(self, title: str, curves: Curves | None = None) -> None:
        self.curves = curves
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.task = self.bar.add_task(title, total=None)
        self.title = title
        self.interrupt = Interrupt()

    def __enter__(self) -> ConsoleProgress:
        self.interrupt.__enter__()
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        if self.curves:
            self.curves.close()
        self.interrupt.__exit__()

    def step(self, step: int, total: int, phase: str = "") -> None:
        self.bar.update(self.task, completed=step, total=total, description=f"{self.title} {phase}".strip())

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        text = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        self.console.print(f"[dim]{step:>7}[/dim]  {text}", highlight=False)
        if self.curves:
            self.curves.write(step, values)

    def preview(self, name: str, path: Path) -> None:
        self.console.print(f"[dim]preview {name}: {path}[/dim]", highlight=False)

    def file(self, path: Path, caption: str = "", role: Role = "result") -> None:
        self.console.print(f"[dim]{caption or role}: {path}[/dim]", highlight=False)

    def checkpoint(self, step: int, path: Path) -> None: ...

    def resumed(self, step: int) -> None:
        self.console.print(f"going on from step {step}")
        if self.curves:
            self.curves.close()
            self.curves = Curves(self.curves.folder, resumed=step + 1)

    def stop_requested(self) -> bool:
        return self.interrupt.asked
