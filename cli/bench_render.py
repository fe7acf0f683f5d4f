"""`terrarium bench render`: the voxel renderer, forward and backward, against its reference and a loop in C.

terrarium bench render --json
terrarium bench render --grids 32,64,128 --pictures 256
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.machine import machine


def render(
    grids: Annotated[str, typer.Option(help="Voxels along a side of the grid, with commas between.")] = "32",
    pictures: Annotated[str, typer.Option(help="Pixels along a side of the picture.")] = "128,256,512",
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds; the median counts.")] = 7,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the compiled march; none: all of this machine.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a row on stdout.")] = False,
) -> None:
    """The voxel renderer on this CPU: every backend on one scene, and a plain C loop if there is a compiler."""
    import numba

    from terrarium.worlds.voxels.bench.render import bench

    most = numba.get_num_threads()
    if threads is not None and threads > most:
        raise ValueError(f"--threads {threads}: expected at most {most} (NUMBA_NUM_THREADS)")
    rows = bench(sizes(grids, "--grids"), sizes(pictures, "--pictures"), rounds, threads or most)
    if as_json:
        for row in rows:
            print(json.dumps(row | {"rounds": rounds} | machine()), flush=True)
        return
    table: Table | None = None
    for row in rows:
        shown = {name: value for name, value in row.items() if not name.endswith("_range")}
        table = table or Table(*shown)
        table.add_row(*("-" if value is None else str(value) for value in shown.values()))
    Console().print(table)


def sizes(text: str, option: str) -> list[int]:
    """ValueError unless `text` is whole numbers from 1 to 1024 with commas between."""
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= number <= 1024 for number in numbers):
        raise ValueError(f"{option} {text!r}: expected whole numbers from 1 to 1024 with commas between")
    return numbers
