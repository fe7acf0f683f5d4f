"""Record, train and evaluate as functions; `run` does any kind of job.

    data = terrarium.record("data/plains", preset="debug", world="plains")
    model = terrarium.train_world_model(data, "out/plains", preset="debug")
    terrarium.load(model).play("w*8")

They write what the commands of the same names write, so either goes on where the other was stopped. Fields of the
config are keyword arguments (docs/python.md); ValueError names a wrong one, its value and what was expected.
`worlds.progress.RecipeError` is a failure that has a code. The first Ctrl-C, or interrupt of a notebook, lets a
training save its state.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from terrarium.store.places import shipped_folder
from terrarium.worlds.durable import sync
from terrarium.worlds.kinds import Conflict, JobKind, kinds
from terrarium.worlds.progress import Progress, Silent, Stopped

Told = Callable[[int, int, str, Mapping[str, float]], None]  # step, total, phase, newest metrics
PRINT_EVERY_S = 5.0
PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Made(os.PathLike[str]):
    """What a run left: its folder, which stands for it wherever a path does, and its result."""

    folder: Path
    result: dict[str, Any] = field(compare=False)

    def __fspath__(self) -> str:
        return str(self.folder)


def record(
    out: PathLike, preset: str | None = "cpu", *, world: str | None = None, progress: bool | Told = True, **given: Any
) -> Made:
    """Walk the block world into a new dataset `out`. `world` is a terrain, or the path of a map.json."""
    config = record_config(preset, given | ({} if world is None else {"world": world}))
    with reporting(config.kind, progress) as report:
        result = make_dataset(Path(out), lambda scratch: run_config(config, scratch, report))
    return Made(Path(out), result)


def train_tokenizer(
    data: PathLike, out: PathLike = "out", preset: str | None = "cpu", *, progress: bool | Told = True, **given: Any
) -> Made:
    """Train a tokenizer on the frames of a dataset, into <out>/tokenizer/output."""
    return run("tokenizer.train", Path(out) / "tokenizer", preset, progress=progress, data=data, **given)


def train_world_model(
    data: PathLike, out: PathLike = "out", preset: str | None = "cpu", *, progress: bool | Told = True, **given: Any
) -> Made:
    """Train a world model on a dataset, and first a tokenizer if none is given, into <out>/world-model/output."""
    return run("world-model.train", Path(out) / "world-model", preset, progress=progress, data=data, **given)


def evaluate(
    model: PathLike = "shipped",
    *,
    seed: int = 7,
    episodes: int = 20,
    precision: str = "fp32",
    out: PathLike | None = None,
    progress: bool | Told | Progress = True,
) -> dict[str, Any]:
    """Measure a world model against its simulator on held-out seeds (docs/evaluation.md). `out`, if given, also gets
    evaluation.json, report.html and its pictures."""
    from terrarium.worlds.device import default_device
    from terrarium.worlds.precision import computing_in
    from terrarium.worlds.world_model.evaluation.recipe import evaluate as measure

    if episodes < 1:
        raise ValueError(f"episodes {episodes}: expected at least 1")
    if seed < 0:
        raise ValueError(f"seed {seed}: expected 0 or more")
    with computing_in(precision, default_device()), reporting("evaluate", progress) as report:
        folder = Path(folders(model))
        return measure(folder, seed=seed, episodes=episodes, progress=report, out=None if out is None else Path(out))


def run(
    kind: str,
    out: PathLike | None = None,
    preset: str | None = None,
    *,
    progress: bool | Told = True,
    **given: Any,
) -> Made:
    """Run a job of any kind here and now; inputs are folders. It leaves <out>/output; `out` is out/KIND if omitted.

    The same call goes on after a stop.
    """
    config = configure(kind, preset, given)
    folder = Path("out") / kind if out is None else Path(out)
    with reporting(kind, progress) as report:
        return Made(folder / "output", run_config(config, folder, report))


def configure(kind: str, preset: str | None, given: Mapping[str, Any]) -> Any:
    """The preset's config with the given fields on top, validated. ValueError names the field, the value and what was
    expected."""
    row = known_kind(kind)
    names = [f.name for f in fields(row.config) if f.name != "kind"]
    if unknown := [name for name in given if name not in names]:
        raise ValueError(f"{kind} has no field {unknown[0]!r}: expected one of {', '.join(names)}")
    values = preset_values(kind, preset) | dict(given)
    values |= {name: folders(values[name]) for name in row.inputs if name in values}
    try:
        return row.read(values)
    except ValidationError as e:
        first = e.errors()[0]
        if isinstance(conflict := first.get("ctx", {}).get("error"), Conflict):
            raise conflict from None
        if first["type"] == "missing":
            raise ValueError(f"{first['loc'][0]}: needed. {help_text(kind, str(first['loc'][0]))}") from None
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['input']!r}: {first['msg']}") from None


def record_config(preset: str | None, given: Mapping[str, Any]) -> Any:
    """Of `dataset.record`, whose world may be the path of a map.json here, where no client names it."""
    world = str(given.get("world", ""))
    if not world.endswith(".json"):
        return configure("dataset.record", preset, given)
    return replace(configure("dataset.record", preset, {k: v for k, v in given.items() if k != "world"}), world=world)


def known_kind(kind: str) -> JobKind:
    if kind not in kinds():
        raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(kinds())}")
    return kinds()[kind]


def preset_values(kind: str, preset: str | None) -> dict[str, Any]:
    """The fields of a preset, without the inputs; of none: no field."""
    row = known_kind(kind)
    if preset is None:
        return {}
    if preset not in row.presets:
        raise ValueError(f"unknown preset {preset!r} of {kind}: expected one of {', '.join(row.presets) or 'none'}")
    return {name: value for name, value in asdict(row.presets[preset]()).items() if name not in row.inputs}


def help_text(kind: str, name: str) -> str:
    return kinds()[kind].schema["properties"][name]["description"]


def folders(value: Any) -> Any:
    """An input as a path: `shipped` is the checkpoint that comes with the project."""
    if isinstance(value, list | tuple):
        return [folders(one) for one in value]
    if value == "shipped":
        return str(shipped_folder())
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def run_config(config: Any, out: Path, progress: Progress) -> dict[str, Any]:
    """Runs a recipe, on inputs that are folders, into `out` and returns its result. Input that is refused before any
    work leaves no folder that was not there."""
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1))
    try:
        return kinds()[config.kind].run(config, out, progress)
    except ValueError:
        if new and [file.name for file in out.iterdir()] == ["config.json"]:
            (out / "config.json").unlink()
            for folder in new:
                folder.rmdir()
        raise


def make_dataset(out: Path, run: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Has `run` make a dataset in a folder beside `out`, which becomes `out` when all is there."""
    if (out / "manifest.json").exists():
        raise ValueError(f"{out} already holds a dataset: choose another folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} already holds something else: expected a new folder, or an empty one")
    scratch = out.with_name(out.name + ".partial")
    result = run(scratch)
    if out.exists():
        out.rmdir()
    (scratch / "output").rename(out)
    sync(out.parent)
    shutil.rmtree(scratch)
    return result


@contextmanager
def reporting(title: str, progress: bool | Told | Progress) -> Iterator[Progress]:
    """True prints, a function is told, a `Progress` is taken as it is. A stop that an interrupt asked for ends in
    KeyboardInterrupt."""
    if not isinstance(progress, bool) and not callable(progress):
        yield progress
        return
    tell: Told | None = Lines(title) if progress is True else progress or None
    with Interrupt() as interrupt:
        try:
            yield Report(tell, interrupt)
        except Stopped:
            raise KeyboardInterrupt("stopped; the same call goes on from what is saved") from None


class Interrupt:
    """Ctrl-C between `with` and its end: the first one only sets `asked`, a second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interrupt:
        self.before = None
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handler
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Report(Silent):
    """A recipe's progress, told to a function."""

    def __init__(self, tell: Told | None, interrupt: Interrupt) -> None:
        self.tell, self.interrupt = tell, interrupt
        self.newest: dict[str, float] = {}

    def step(self, step: int, total: int, phase: str = "") -> None:
        if self.tell:
            self.tell(step, total, phase, self.newest)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.newest = dict(values)

    def stop_requested(self) -> bool:
        return self.interrupt.asked


class Lines:
    """Prints a line, with the newest loss, where a phase begins, every few seconds, and at the end."""

    def __init__(self, title: str) -> None:
        self.title, self.phase, self.at = title, "", 0.0

    def __call__(self, step: int, total: int, phase: str, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        if phase != self.phase or step == total or now - self.at > PRINT_EVERY_S:
            self.phase, self.at = phase, now
            losses = [f"  loss {value:.4g}" for name, value in metrics.items() if name.rpartition("/")[2] == "loss"]
            print(f"{self.title}: {phase} {step}/{total}{''.join(losses)}", flush=True)
