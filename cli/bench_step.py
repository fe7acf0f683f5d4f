"""`terrarium bench step`: one step of live play, eager and compiled, in fp32 and in bf16.

terrarium bench step --players 1,4 --threads 1 --json
terrarium bench step --processor-time --no-painter
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.machine import machine
from terrarium.recipes import folders


def step(
    checkpoint: Annotated[str, typer.Argument(help="Folder of a world model, or `shipped`.")] = "shipped",
    players: Annotated[str, typer.Option(help="Numbers of players in one step, with commas between.")] = "1,2,4,8,16",
    steps: Annotated[int, typer.Option(min=1, help="Measured steps of each form.")] = 60,
    threads: Annotated[int | None, typer.Option(min=1, help="Of torch. If omitted, its own choice.")] = None,
    bf16: Annotated[
        bool | None, typer.Option(help="In bf16 too. If omitted, where the processor has a unit for it.")
    ] = None,
    painter: Annotated[bool, typer.Option(help="With the checkpoint's painter.")] = True,
    processor_time: Annotated[
        bool, typer.Option(help="Instead of the clock's, for a busy machine; with --threads 1.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a row on stdout.")] = False,
) -> None:
    """One step of live play: eager, and compiled ahead of time with frozen weights, which takes some minutes first."""
    import torch

    from terrarium.worlds.precision import Precision, cpu_has_bf16
    from terrarium.worlds.world_model.bench.step import bench_step

    if threads is not None:
        torch.set_num_threads(threads)
    half = cpu_has_bf16() if bf16 is None else bf16
    precisions: list[Precision] = ["fp32", "bf16"] if half else ["fp32"]
    rows = bench_step(
        Path(folders(checkpoint)),
        players=[int(n) for n in players.split(",")],
        steps=steps,
        precisions=precisions,
        painter=painter,
        clock=time.process_time if processor_time else time.perf_counter,
    )
    if as_json:
        how = {"threads": torch.get_num_threads(), "painter": painter, "processor_time": processor_time}
        for row in rows:
            print(json.dumps(row | how | machine()))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*("-" if v is None else str(v) for v in row.values()))
    Console().print(table)
