"""`terrarium bench step`: one step of live play, eager and frozen.

terrarium bench step --players 1,4 --threads 1 --json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.machine import machine
from terrarium.recipes import folders


def step(
    checkpoint: Annotated[str, typer.Argument(help="Folder of a world model, or `shipped`.")] = "shipped",
    players: Annotated[str, typer.Option(help="Numbers of players in one step, with commas between.")] = "1,2,4,8",
    steps: Annotated[int, typer.Option(min=1, help="Measured steps of each form.")] = 60,
    threads: Annotated[int | None, typer.Option(min=1, help="Of torch; none: its own choice.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a row on stdout.")] = False,
) -> None:
    """One step of live play: eager, and compiled ahead of time with frozen weights, which takes a minute first."""
    import torch

    from terrarium.worlds.world_model.bench.step import bench_step

    if threads is not None:
        torch.set_num_threads(threads)
    numbers = [int(n) for n in players.split(",")]
    rows = bench_step(Path(folders(checkpoint)), players=numbers, steps=steps)
    if as_json:
        for row in rows:
            print(json.dumps(row | {"threads": torch.get_num_threads()} | machine()))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*("-" if v is None else str(v) for v in row.values()))
    Console().print(table)
