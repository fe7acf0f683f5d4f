"""terrarium kinds
terrarium kinds world-model.train
terrarium run world-model.train --preset debug --set data=data/plains --out out/plains"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from terrarium.cli.console import configure, run_recipe, say_what_next
from terrarium.recipes import known_kind
from terrarium.worlds.kinds import JobKind, kinds


def run(kind: str, preset: str | None, assignments: list[str], out: Path, curves: Path | None) -> None:
    """Runs a job of any kind here and now, into `out`; inputs are folders. Prints its result as JSON."""
    config = configure(kind, preset, {}, assignments)
    print(json.dumps(run_recipe(config, out, curves) | {"output": str(out / "output")}))
    say_what_next(kind, out / "output")


def show(kind: str | None, as_json: bool) -> None:
    """A table of all kinds, or of one's fields. As JSON: {kind: {title, makes, presets, schema}}."""
    if as_json:
        rows = kinds() if kind is None else {kind: known_kind(kind)}
        print(json.dumps({name: _facts(row) for name, row in rows.items()}))
    else:
        Console().print(_all() if kind is None else _fields(kind))


def _facts(kind: JobKind) -> dict[str, Any]:
    return {"title": kind.title, "makes": kind.makes, "presets": list(kind.presets), "schema": kind.schema}


def _all() -> Table:
    table = Table("kind", "what it does", "presets", box=None)
    for name, kind in kinds().items():
        table.add_row(name, kind.title, ", ".join(kind.presets))
    return table


def _fields(name: str) -> Table:
    kind = known_kind(name)
    table = Table("field", "default", "what it is", box=None)
    for field, schema in kind.schema["properties"].items():
        if field != "kind":
            table.add_row(field, _default(schema), schema["description"])
    return table


def _default(schema: dict[str, Any]) -> str:
    if "default" not in schema:
        return "(needed)"
    return "-" if schema["default"] is None else str(schema["default"])
