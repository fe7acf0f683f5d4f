"""terrarium generate "a stone castle with four towers" --guidance blocks --size 16
terrarium generate --target castle.json --steps 400 --json
terrarium generate --target captures/castle --size 32 --set 'coarse=[2]' --set 'coarse_steps=[300]'

Leaves <out>/output: map.json, world.glb, turntable.mp4, thumbnail.png and train.jsonl. The same command goes on after a
stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from terrarium.cli.console import configure, run_recipe, say_what_next

KIND = "world.generate"


def generate(
    prompt: str | None, given: dict[str, Any], preset: str | None, assignments: list[str], out: Path, as_json: bool
) -> None:
    """Runs it here; prints one JSON object, or tables. `given`: fields by name, None for those left to the preset.

    Without a guidance words are followed by the shipped prior, a target alone is rebuilt; each has a preset for it.
    """
    if prompt is not None:
        given["prompts"] = [prompt]
    if given["guidance"] is None and prompt is not None and given["target"] is None:
        given["guidance"] = "blocks"
    if preset is None:
        preset = {None: "rebuild", "target": "rebuild", "blocks": "words"}.get(given["guidance"])
    config = configure(KIND, preset, given, assignments)
    if given["start"] is not None and given["size"] is None:
        config = replace(config, size=None)  # as large as it is
    found = run_recipe(config, out)
    found |= {"map": str(out / "output" / "map.json")}
    if as_json:
        print(json.dumps(found))
    else:
        show(found)
    say_what_next(KIND, out / "output")


def show(found: dict[str, Any]) -> None:
    figures = Table("figure", "value", box=None)
    for name, value in found.items():
        if name != "table":
            figures.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(figures)
    Console().print(world_table(found["table"]))


def world_table(facts: dict[str, Any]) -> Table:
    """Of `table_of` (worlds/voxels/export.py)."""
    table = Table("of the world", "", box=None)
    table.add_row("solid blocks", str(facts["solid"]))
    table.add_row("ground filled", f"{facts['ground_filled']:.0%}")
    for name, share in facts["materials"].items():
        table.add_row(name, f"{share:.1%}")
    for heights, columns in facts["columns_by_height"].items():
        table.add_row(f"columns {heights} high", str(columns))
    table.add_row("highest", str(facts["highest"]))
    return table
