"""`terrarium bench training`: steps a second and the share of time in each part, in fp32 and in the precision that
training takes here, against eager dynamics in fp32.

terrarium bench training --preset cpu --steps 20 --threads 2 --json
terrarium bench training --threads 1 --processor-time
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.console import configure
from terrarium.cli.machine import machine


def training(
    preset: Annotated[str, typer.Option(help="Of world-model.train.")] = "cpu",
    steps: Annotated[int, typer.Option(min=1, help="Measured steps of each.")] = 20,
    data: Annotated[Path | None, typer.Option(help="Folder of a dataset; none: a small one is recorded.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of torch; none: its own choice.")] = None,
    processor_time: Annotated[
        bool, typer.Option(help="Instead of the clock's, for a busy machine; with --threads 1.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other field of the config: key=value.")] = None,
) -> None:
    """Training's speed against a straightforward eager fp32 implementation of the same model, in turns."""
    import torch

    from terrarium.worlds.device import default_device
    from terrarium.worlds.world_model.bench.training import bench_training

    config = configure("world-model.train", preset, {"data": str(data or "-")}, set_ or [])
    if threads is not None:
        torch.set_num_threads(threads)
    load = os.getloadavg()[0]
    found = bench_training(config, steps=steps, clock=time.process_time if processor_time else time.perf_counter)
    device = default_device()
    gpu = {"device": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    place = {"preset": preset, "compile": config.compile, "threads": torch.get_num_threads()}
    place["processor_time"] = processor_time
    result = found | place | machine() | gpu | {"load_1min": round(load, 2)}
    if as_json:
        print(json.dumps(result))
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    rows = result["rows"]
    table = Table("", *rows)
    for figure in ("steps_per_s", "speedup", "losses_apart"):
        table.add_row(figure, *(f"{row[figure]:.4g}" for row in rows.values()))
    for part in next(iter(rows.values()))["shares"]:
        table.add_row(part, *(f"{row['shares'][part]:.1%}" for row in rows.values()))
    for number, losses in enumerate(zip(*(row["losses"] for row in rows.values()), strict=True), start=1):
        table.add_row(f"loss {number}", *(f"{loss:.4f}" for loss in losses))
    Console().print(table)
    print("\n".join(f"{k:<12}  {v}" for k, v in result.items() if k != "rows"))
