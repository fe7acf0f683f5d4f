"""`terrarium bench ablations`: what each part of a trained world model is worth.

terrarium bench ablations shipped --seeds 8101,8102,8103 --episodes 4
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from terrarium.cli.console import ConsoleProgress
from terrarium.cli.figures import figures_table
from terrarium.cli.machine import machine
from terrarium.recipes import folders


def ablations(
    checkpoint: Annotated[str, typer.Argument(help="Folder of a world model, or `shipped`.")] = "shipped",
    names: Annotated[str, typer.Option("--parts", help="Lines with commas between; all: every one.")] = "all",
    seeds: Annotated[str, typer.Option(help="Of the evaluations, with commas between.")] = "7",
    episodes: Annotated[int, typer.Option(min=1, help="Held-out states, and half of the long walks.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an evaluation on stdout.")] = False,
) -> None:
    """Evaluate a world model whole, and with one part after the other switched off."""
    from terrarium.worlds.world_model.bench.ablations import ABLATIONS, ablate

    chosen = list(ABLATIONS) if names == "all" else [n.strip() for n in names.split(",")]
    numbers = [int(s) for s in seeds.split(",")]
    rows = defaultdict(list)
    folder = Path(folders(checkpoint))
    for line in ablate(folder, chosen, seeds=numbers, episodes=episodes, progress=ConsoleProgress):
        rows[line.name].append(line.figures | {"step_ms": line.step_ms})
        if as_json:
            print(json.dumps(asdict(line) | {"episodes": episodes} | machine()), flush=True)
    if not as_json:
        Console().print(figures_table({name: (ABLATIONS[name].what, some) for name, some in rows.items()}))
