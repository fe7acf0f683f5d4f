"""A recipe run in this terminal: a progress bar with ETA, metrics as lines, Ctrl-C saves and stops."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from terrarium.store import disk
from terrarium.store.places import shipped_folder
from terrarium.worlds.kinds import Conflict, JobKind, asset_types, kinds
from terrarium.worlds.progress import RecipeError, Role, Stopped


def configure(kind: str, preset: str | None, given: Mapping[str, Any], assignments: list[str]) -> Any:
    """The preset's config, with the flags that were given and `--set key=value` on top, validated.

    ValueError names the field, the value and what was expected.
    """
    row = known_kind(kind)
    values = preset_values(kind, preset) | {k: v for k, v in given.items() if v is not None}
    names = [field.name for field in fields(row.config) if field.name != "kind"]
    for assignment in assignments:
        key, sep, value = assignment.partition("=")
        if not sep or key not in names:
            raise ValueError(f"--set {assignment!r}: expected key=value with a key of {', '.join(names)}")
        values[key] = json.loads(value) if value.startswith("[") else value
    values |= {field: _folders(values[field]) for field in row.inputs if field in values}
    try:
        return row.read(values)
    except ValidationError as e:
        first = e.errors()[0]
        if isinstance(conflict := first.get("ctx", {}).get("error"), Conflict):
            raise conflict from None
        if first["type"] == "missing":
            raise ValueError(f"{first['loc'][0]}: needed. {help_text(kind, str(first['loc'][0]))}") from None
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['input']!r}: {first['msg']}") from None


def known_kind(kind: str) -> JobKind:
    if kind not in kinds():
        raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(kinds())}")
    return kinds()[kind]


def preset_values(kind: str, preset: str | None) -> dict[str, Any]:
    """The fields of a preset, without the inputs; of none: no field."""
    row = known_kind(kind)
    presets = row.presets
    if preset is None:
        return {}
    if preset not in presets:
        raise ValueError(f"unknown preset {preset!r} of {kind}: expected one of {', '.join(presets) or 'none'}")
    return {field: value for field, value in asdict(presets[preset]()).items() if field not in row.inputs}


def option(kind: str, field: str, *names: str) -> Any:
    """A flag for a field of a kind's config, with its help text."""
    return typer.Option(*names, help=help_text(kind, field))


def help_text(kind: str, field: str) -> str:
    return kinds()[kind].schema["properties"][field]["description"]


def _folders(value: Any) -> Any:
    """`shipped`, where inputs are named, is the checkpoint that comes with the project."""
    if isinstance(value, list | tuple):
        return [_folders(one) for one in value]
    return str(shipped_folder()) if value == "shipped" else value


def checkpoint_folder(name: str) -> Path:
    """`shipped`, or the path of a folder."""
    return shipped_folder() if name == "shipped" else Path(name)


def run_recipe(config: Any, out: Path) -> dict[str, Any]:
    """Runs a recipe into `out` and returns its result. Ctrl-C or a named failure ends the program with one line."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1))
    with ConsoleProgress(config.kind) as progress:
        try:
            return kinds()[config.kind].run(config, out, progress)
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

    def __init__(self, title: str) -> None:
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
        self.stopping = False

    def __enter__(self) -> ConsoleProgress:
        self.before = signal.signal(signal.SIGINT, self._stop)
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        signal.signal(signal.SIGINT, self.before)

    def _stop(self, *_: object) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True

    def step(self, step: int, total: int, phase: str = "") -> None:
        self.bar.update(self.task, completed=step, total=total, description=f"{self.title} {phase}".strip())

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        text = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        self.console.print(f"[dim]{step:>7}[/dim]  {text}", highlight=False)

    def preview(self, name: str, path: Path) -> None:
        self.console.print(f"[dim]preview {name}: {path}[/dim]", highlight=False)

    def file(self, path: Path, caption: str = "", role: Role = "result") -> None:
        self.console.print(f"[dim]{caption or role}: {path}[/dim]", highlight=False)

    def checkpoint(self, step: int, path: Path) -> None: ...

    def resumed(self, step: int) -> None:
        self.console.print(f"going on from step {step}")

    def stop_requested(self) -> bool:
        return self.stopping
