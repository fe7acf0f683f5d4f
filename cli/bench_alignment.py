"""`terrarium bench alignment`: ways to follow a reward side by side, on the same base and budgets.

terrarium bench alignment --rewards palette:200,symmetry:2000 --methods nabla,draft1 --seeds 0,1,2 --out out/alignment
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.console import ConsoleProgress, configure
from terrarium.cli.machine import machine
from terrarium.worlds.durable import write_text
from terrarium.worlds.progress import Stopped

if TYPE_CHECKING:
    from terrarium.worlds.generators.compare import Row

# A minute or two of one core a row. Captions say the class alone: a named material leaves palette nothing to choose.
SIZE = {"captions": "class", "batch": 4, "sampling_steps": 8, "lr": 3e-3, "warmup": 4, "worlds": 32, "steps": 64}
FIGURES = ("reward", "fd", "diversity", "class_accuracy")


def alignment(
    out: Annotated[Path, typer.Option(help="Folder for the runs; what is there is gone on with.")],
    rewards: Annotated[
        str, typer.Option(help="Names with commas between; behind a colon, nabla's reward_scale for it.")
    ] = "palette:200,symmetry:2000",
    methods: Annotated[str, typer.Option(help="Names with commas between.")] = "nabla,refl,draft1,draftk,ddpo",
    seeds: Annotated[str, typer.Option(help="With commas between.")] = "0,1,2",
    worlds: Annotated[int, typer.Option(min=4, max=4096, help="Drawn for the last figures of a row.")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a row on stdout.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A field of generator.align: key=value.")] = None,
) -> None:
    """Align a generator by each method, reward and seed; print one table and draw a Pareto plot a reward."""
    from terrarium.worlds.generators.compare import at_equal_distance, compare

    config = configure("generator.align", "default", SIZE, set_ or [])
    scales = {
        name.strip(): float(scale) if scale else config.reward_scale
        for name, _, scale in (word.partition(":") for word in rewards.split(","))
    }
    names, numbers = [word.strip() for word in methods.split(",")], [int(word) for word in seeds.split(",")]
    rows: list[Row] = []
    try:
        for row in compare(scales, names, numbers, config=config, worlds=worlds, out=out, progress=ConsoleProgress):
            rows.append(row)
            draw(out, rows)
            if as_json:
                print(json.dumps(asdict(row) | machine()), flush=True)
    except Stopped:
        typer.echo(f"stopped; the same command goes on from {out}", err=True)
        raise typer.Exit(130) from None
    equal = at_equal_distance(rows)
    if as_json:
        print(json.dumps({"at_nablas_distance": equal}))
        return
    show(rows)
    for reward, found in equal.items():
        print(f"{reward} at nabla's distance: " + "  ".join(f"{name} {mean(each):.3f}" for name, each in found.items()))


def draw(out: Path, rows: Sequence[Row]) -> None:
    """A plot a reward, of the rows so far."""
    from terrarium.worlds.generators.pareto_plot import Line, pareto_plot

    lines: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        lines[row.reward][row.method].append(Line(row.points, row.step))
    for reward, methods in lines.items():
        write_text(out / f"pareto-{reward}.svg", pareto_plot(f"Reward {reward}", methods))


def show(rows: Sequence[Row]) -> None:
    """Means over the seeds, from the lowest to the highest in brackets; a reward's first line is the base's."""
    table = Table("reward", "method", "seeds", "iterations", "best at", "CPU s", *FIGURES, "bars met")
    of: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        of[row.reward, row.method].append(row)
    based: set[str] = set()
    for (reward, method), some in of.items():
        if reward not in based:
            based.add(reward)
            table.add_row(reward, "base", "", "", "", "", *(f"{some[0].base[name]:.3f}" for name in FIGURES), "")
        runs = [mean([getattr(row, name) for row in some]) for name in ("iterations", "step", "cpu_seconds")]
        met = {bar: sum(row.bars[bar] for row in some) for bar in some[0].bars}
        cells = [spread([row.best[name] for row in some]) for name in FIGURES]
        told = "  ".join(f"{bar} {count}/{len(some)}" for bar, count in met.items())
        table.add_row(reward, method, str(len(some)), *(f"{value:.0f}" for value in runs), *cells, told)
    Console(width=160).print(table)


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
