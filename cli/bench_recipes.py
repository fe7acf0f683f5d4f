"""`terrarium bench recipes`: training recipes side by side, on the same data for the same time.

terrarium bench recipes --data data/mixed --minutes 10 --recipes cpu,ochre_v6 --out out/recipes
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from terrarium.cli.console import ConsoleProgress, configure, run_recipe
from terrarium.cli.figures import figures_table
from terrarium.cli.machine import machine


def recipes(
    data: Annotated[Path, typer.Option(help="Folder of a dataset recorded in the block world.")],
    out: Annotated[Path, typer.Option(help="Folder for the trained models; what is there is gone on with.")],
    names: Annotated[
        str, typer.Option("--recipes", help="Names with commas between; all: every one.")
    ] = "cpu,ochre_v6",
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Training time of each; on a CPU, of its processor time.")
    ] = 10.0,
    steps: Annotated[int | None, typer.Option(min=1, help="The same number for each, instead of minutes.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of a tokenizer or world model. If omitted, one is trained.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the evaluation.")] = 7,
    episodes: Annotated[int, typer.Option(min=1, help="Of the evaluation.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a recipe on stdout.")] = False,
) -> None:
    """Train each recipe on the same data for the same time, evaluate it, and print one table."""
    from terrarium.worlds.world_model.bench.recipes import RECIPES, compare

    if tokenizer is None:
        tokenizer = out / "tokenizer" / "output"
        if not (tokenizer / "manifest.json").is_file():
            run_recipe(configure("tokenizer.train", "cpu", {"data": str(data)}, []), out / "tokenizer")
    chosen = list(RECIPES) if names == "all" else [n.strip() for n in names.split(",")]
    rows = []
    for row in compare(
        chosen,
        data=data,
        tokenizer=tokenizer,
        out=out,
        minutes=minutes,
        steps=steps,
        seed=seed,
        episodes=episodes,
        progress=ConsoleProgress,
    ):
        rows.append(row)
        if as_json:
            print(json.dumps(asdict(row) | {"seed": seed, "episodes": episodes} | machine()), flush=True)
    if not as_json:
        cost = ("steps", "painter_steps", "minutes", "parameters", "step_ms")
        models = {r.recipe: (r.what, [{name: getattr(r, name) for name in cost} | r.figures]) for r in rows}
        Console().print(figures_table(models))
