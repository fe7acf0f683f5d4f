"""Who may import whom. Walks every import of every package, those inside functions too.

kernels -> torch    worlds -> kernels    store -> nothing of ours    api -> store, worlds.configs, worlds.sizes
workers -> store, worlds    cli -> api, workers, worlds, store    migrations -> store.tables
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("api", "cli", "kernels", "migrations", "store", "workers", "worlds")
MAY_IMPORT = {
    "kernels": ("kernels",),
    "worlds": ("worlds", "kernels"),
    "store": ("store",),
    "api": ("api", "store", "worlds.configs", "worlds.sizes"),
    "workers": ("workers", "store", "worlds"),
    "cli": ("cli", "api", "workers", "worlds", "store"),
    "migrations": ("migrations", "store.tables"),
}
# Besides the standard library. The packages left out here may import what pyproject.toml installs.
MAY_USE = {"kernels": ("torch", "triton")}
SCIENCE_NEVER_USES = ("celery", "redis", "sqlalchemy", "psycopg", "fastapi", "uvicorn", "httpx", "websockets")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import; `from a import b` counts as a.b where a.b is a module."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield node.lineno, name if is_module(name) else node.module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


@pytest.mark.parametrize("package", OURS)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    wrong = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for line, name in imports(path):
            top = name.split(".")[0]
            if top in OURS:
                fine = within(name, MAY_IMPORT[package])
            elif package in MAY_USE and top not in sys.stdlib_module_names:
                fine = top in MAY_USE[package]
            else:
                fine = not (package == "worlds" and top in SCIENCE_NEVER_USES)
            if not fine:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_what_runs_without_torch_leaves_it_unloaded() -> None:
    code = (
        "import sys, api.app, workers.dispatcher, store.db, worlds.configs;"
        "print(sorted({'torch', 'numba', 'triton'} & set(sys.modules)))"
    )
    env = os.environ | {"DATABASE_URL": "postgresql://nowhere/none", "REDIS_URL": "redis://nowhere"}
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=env, text=True) == "[]\n"
