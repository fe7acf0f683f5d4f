"""Who may import whom. Walks every import of every package, those inside functions too.

kernels -> torch    worlds -> kernels    store -> nothing of ours
api -> store, worlds.kinds and the rooms' kinds, worlds.intake, worlds.headers, worlds.json_file, worlds.plans
workers -> store, worlds    migrations -> store.tables
the door (terrarium/*.py: what Python users import) -> store.errors, store.places, worlds
cli -> the door, api, workers, worlds, store

Within worlds, rooms (the folders in worlds.kinds.ROOMS) share what lies below them and never import each other's
recipes; a room that needs another's loads it by its kind.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from terrarium.worlds.kinds import ROOMS

ROOT = Path(__file__).resolve().parent.parent
OURS = ("api", "cli", "kernels", "migrations", "store", "workers", "worlds")
DOOR = sorted(path.stem for path in (ROOT / "terrarium").glob("*.py"))  # beside them are links to OURS


def without_prefix(name: str) -> str:
    """terrarium.worlds.kinds -> worlds.kinds"""
    assert name.split(".")[0] not in OURS, f"import {name}: expected terrarium.{name}"
    return "__init__" if name == "terrarium" else name.removeprefix("terrarium.")


BELOW = (
    "worlds.archive",
    "worlds.blocks",
    "worlds.checkpoint",
    "worlds.device",
    "worlds.durable",
    "worlds.headers",
    "worlds.json_file",
    "worlds.kinds",
    "worlds.noise_schedule",
    "worlds.pictures",
    "worlds.precision",
    "worlds.progress",
    "worlds.text_encoder",
    "worlds.training",
)
RENDERER = tuple(f"worlds.voxels.{name}" for name in ("camera", "export", "grid", "manifest", "render", "world"))
MAY_IMPORT = {
    "kernels": ("kernels",),
    "worlds": ("worlds", "kernels"),
    "store": ("store",),
    "api": (
        "api",
        "store",
        "worlds.kinds",
        "worlds.intake",
        "worlds.headers",
        "worlds.json_file",
        "worlds.plans",
        *map(without_prefix, ROOMS),
    ),
    "workers": ("workers", "store", "worlds"),
    "cli": ("cli", *DOOR, "api", "workers", "worlds", "store"),
    "migrations": ("migrations", "store.tables"),
    "terrarium": (*DOOR, "store.errors", "store.places", "worlds"),
}
WITHIN_WORLDS = {
    "worlds.kinds": ("worlds.json_file", "worlds.progress"),
    "worlds.plans": ("worlds.kinds",),
    "worlds.progress": (),
    "worlds.json_file": (),
    "worlds.archive": (),
    "worlds.headers": (),
    "worlds.intake": ("worlds.archive", "worlds.durable", "worlds.json_file", "worlds.kinds"),
    "worlds.durable": (),
    "worlds.checkpoint": ("worlds.durable", "worlds.json_file"),
    "worlds.device": (),
    "worlds.precision": (),
    "worlds.noise_schedule": (),
    "worlds.text_encoder": ("worlds.blocks.structures.captions",),
    "worlds.played_model": ("worlds.blocks.actions",),
    "worlds.blocks": ("worlds.blocks",),
    "worlds.pictures": ("worlds.pictures", "worlds.checkpoint", "worlds.precision"),
    "worlds.training": (
        "worlds.training",
        "worlds.checkpoint",
        "worlds.device",
        "worlds.precision",
        "worlds.progress",
    ),
    "worlds.episodes": ("worlds.episodes", *BELOW),
    "worlds.generators": ("worlds.generators", *RENDERER, *BELOW),
    "worlds.materials": ("worlds.materials", *BELOW),
    "worlds.voxels": ("worlds.voxels", *BELOW),
    "worlds.world_model": ("worlds.world_model", "worlds.episodes.format", *BELOW),
}
# Besides the standard library. The packages left out here may import what pyproject.toml installs.
MAY_USE = {"kernels": ("torch", "triton")}
SCIENCE_NEVER_USES = ("celery", "redis", "sqlalchemy", "psycopg", "fastapi", "uvicorn", "httpx", "websockets")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import; `from a import b` counts as a.b where a.b is a module.

    Ours are named without the common prefix, as their folders are.
    """
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, without_prefix(alias.name)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield node.lineno, without_prefix(name if is_module(name) else node.module)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def files_of(package: str) -> list[Path]:
    folder = ROOT / package
    return sorted(folder.glob("*.py") if package == "terrarium" else folder.rglob("*.py"))


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    wrong = []
    for path in files_of(package):
        for line, name in imports(path):
            top = name.split(".")[0]
            if top in (*OURS, *DOOR):
                fine = within(name, MAY_IMPORT[package])
            elif package in MAY_USE and top not in sys.stdlib_module_names:
                fine = top in MAY_USE[package]
            else:
                fine = not (package == "worlds" and top in SCIENCE_NEVER_USES)
            if not fine:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", WITHIN_WORLDS)
def test_rooms_share_what_lies_below_them(part: str) -> None:
    path = ROOT.joinpath(*part.split("."))
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    found = [(file, line, name) for file in files for line, name in imports(file) if within(name, ("worlds",))]
    wrong = [(file, line, name) for file, line, name in found if not within(name, WITHIN_WORLDS[part])]
    assert not wrong, "\n".join(f"{file.relative_to(ROOT)}:{line} imports {name}" for file, line, name in wrong)


def test_every_part_of_worlds_has_its_place() -> None:
    parts = {f"worlds.{path.stem}" for path in (ROOT / "worlds").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"worlds.__init__", "worlds.__pycache__"} == set(WITHIN_WORLDS)


def test_imports_have_no_circle() -> None:
    """Those inside functions and those for type checkers count too."""
    graph: dict[str, set[str]] = {}
    for path in (path for package in MAY_IMPORT for path in files_of(package)):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        name = name.removeprefix("terrarium.")
        graph[name] = {imported for _, imported in imports(path)}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as e:
        pytest.fail(" -> ".join(e.args[1]))


def test_what_runs_without_torch_leaves_it_unloaded() -> None:
    code = (
        "import sys, terrarium; assert sorted(m for m in sys.modules if m.startswith('terrarium')) == ['terrarium'];"
        "import terrarium.api.app, terrarium.workers.dispatcher, terrarium.store.db;"
        "from terrarium.worlds.kinds import kinds; kinds();"
        "print(sorted({'torch', 'numba', 'triton'} & set(sys.modules)))"
    )
    env = os.environ | {"DATABASE_URL": "postgresql://nowhere/none", "REDIS_URL": "redis://nowhere"}
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=env, text=True) == "[]\n"


def test_names_of_the_door_lead_somewhere() -> None:
    import terrarium

    tree = ast.parse((ROOT / "terrarium" / "__init__.py").read_text())
    for_type_checkers = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert for_type_checkers - {"annotations", "import_module", "TYPE_CHECKING", "Any"} == set(terrarium.__all__)
    assert all(getattr(terrarium, name) for name in terrarium.__all__)
    with pytest.raises(AttributeError, match="no attribute 'play': expected one of Client"):
        terrarium.play  # noqa: B018
