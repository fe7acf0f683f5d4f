"""Plans on this machine: each step's recipe in turn, in one folder.

    made = terrarium.playable("a stone castle with four towers", "out/castle")
    terrarium.load(made["world-model"]).play("w*16")

Every step has a folder of its name, with what `run` leaves there and result.json once it is done. The same call goes
on after a stop; a step that is done is not done again, unless its config or a step that it needs is another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from terrarium.recipes import Made, PathLike, Told, folders, reporting, run_config
from terrarium.worlds.durable import write_text
from terrarium.worlds.json_file import read_object
from terrarium.worlds.kinds import Conflict, Slot, kinds, read_manifest, type_of
from terrarium.worlds.plans import PlayableConfig, Step, TextureConfig, check, filled, named_steps
from terrarium.worlds.plans import playable as playable_steps
from terrarium.worlds.plans import texture as texture_steps
from terrarium.worlds.progress import Progress

C = TypeVar("C")
Runner = Callable[[Any, Path], dict[str, Any]]  # config, folder -> result


def playable(
    prompt: str = "",
    out: PathLike = "out/playable",
    preset: str = "cpu",
    *,
    world: PathLike | None = None,
    progress: bool | Told | Progress = True,
) -> dict[str, Made]:
    """From words, or from a map.json or a block world's folder, to a world model that plays in it -> {step: made}."""
    return run_plan(steps_of_playable(prompt, preset, world), Path(out), _runner(progress))


def steps_of_playable(prompt: str, preset: str, world: PathLike | None) -> list[Step]:
    """ValueError names what is wrong."""
    given = {"prompt": prompt, "world": None if world is None else str(world), "preset": preset}
    return playable_steps(_config(PlayableConfig, given))


def texture(
    out: PathLike = "out/texture",
    preset: str = "debug",
    *,
    clean: PathLike | None = None,
    game: PathLike | None = None,
    release: str | None = None,
    progress: bool | Told | Progress = True,
) -> dict[str, Made]:
    """The staged texture plan, on folders of textures or on procedural ones -> {step: made}. ValueError names the gate
    that is closed."""
    return run_plan(steps_of_texture(preset, clean, game, release), Path(out), _runner(progress))


def steps_of_texture(preset: str, clean: PathLike | None, game: PathLike | None, release: str | None) -> list[Step]:
    """ValueError names what is wrong."""
    folders = {"clean": clean, "game": game}
    given = {name: None if folder is None else str(folder) for name, folder in folders.items()}
    return texture_steps(_config(TextureConfig, given | {"preset": preset, "release": release}))


def _runner(progress: bool | Told | Progress) -> Runner:
    def run_one(config: Any, folder: Path) -> dict[str, Any]:
        with reporting(config.kind, progress) as report:
            return run_config(config, folder, report)

    return run_one


def _config(of: type[C], given: dict[str, Any]) -> C:
    try:
        return TypeAdapter(of).validate_python(given)
    except ValidationError as e:
        first = e.errors()[0]
        if isinstance(conflict := first.get("ctx", {}).get("error"), Conflict):
            raise conflict from None
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['input']!r}: {first['msg']}") from None


def run_plan(steps: Sequence[Step], out: Path, run_one: Runner) -> dict[str, Made]:
    """Runs the steps that are not done in their order, once all of them are known to fit -> {step: made}.

    BadStep, a ValueError, names the step and the field before any work starts.
    """
    check(steps, _look)
    made: dict[str, Made] = {}
    anew: set[str] = set()
    for step in steps:
        folder = out / step.name
        config = filled(_with_folders(step.config), {name: str(one.folder) for name, one in made.items()})
        needs_anew = any(anew.intersection(names) for names in named_steps(step.config).values())
        result = None if needs_anew else _done(folder, config)
        if result is None:
            anew.add(step.name)
            (folder / "result.json").unlink(missing_ok=True)
            result = run_one(config, folder)
            write_text(folder / "result.json", json.dumps(result))
        made[step.name] = Made(folder / "output", result)
    return made


def _done(folder: Path, config: Any) -> dict[str, Any] | None:
    """The result of a step that is done with this config; None of any other."""
    try:
        same = read_object(folder / "config.json") == json.loads(json.dumps(asdict(config)))
        return read_object(folder / "result.json") if same else None
    except (OSError, ValueError):
        return None


def _with_folders(config: Any) -> Any:
    """`shipped` as a path."""
    given = {field: folders(getattr(config, field)) for field in kinds()[config.kind].inputs}
    return type(config)(**{**{name: getattr(config, name) for name in asdict(config)}, **given})


def _look(slot: Slot, given: str) -> dict[str, Any]:
    """The manifest of a folder; {} of a file such as a map.json, which the recipe reads."""
    path = Path(folders(given))
    if not path.exists():
        raise ValueError(f"{given} is not there: expected a {' or '.join(slot.types)}")
    manifest = read_manifest(path)
    if (type := type_of(manifest)) and type not in slot.types:
        raise ValueError(f"{given} is a {type}, expected a {' or '.join(slot.types)}")
    return manifest
