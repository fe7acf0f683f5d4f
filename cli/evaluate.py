"""terrarium eval world-model shipped --seed 7 --episodes 20 --json"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import ConsoleProgress

app = typer.Typer(no_args_is_help=True, help="Measure a world model against its simulator.")


@app.callback()
def _group() -> None:
    """Keeps `world-model` a command of its own while it is the only one."""


@app.command("world-model")
def world_model(
    checkpoint: Annotated[str, typer.Argument(help="Folder of a checkpoint, or `shipped`.")],
    seed: Annotated[int, typer.Option(help="Which held-out worlds.")] = 7,
    episodes: Annotated[int, typer.Option(help="Held-out states.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Also write evaluation.json and rollouts.png to this folder.")
    ] = None,
) -> None:
    """Counterfactual retrieval, rollout quality and churn on seeds that training never saw."""
    from worlds.world_model.evaluate import evaluate
    from worlds.world_model.rollout import shipped_folder

    if episodes < 1:
        raise ValueError(f"--episodes {episodes}: expected at least 1")
    if seed < 0:
        raise ValueError(f"--seed {seed}: expected 0 or more")
    folder = shipped_folder() if checkpoint == "shipped" else Path(checkpoint)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with ConsoleProgress("evaluate") as progress:
        strip = out / "rollouts.png" if out is not None else None
        result = evaluate(folder, seed=seed, episodes=episodes, progress=progress, strip=strip)
    if out is not None:
        (out / "evaluation.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result)) if as_json else _table(result)


def _table(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    keys = result["retrieval_by_key"]["4"]
    table = Table(title=f"Counterfactual retrieval (chance {result['chance']:.2f})")
    for name in ("k", "all", *keys):
        table.add_column(name, justify="right")
    for k, total in result["counterfactual_retrieval"].items():
        table.add_row(k, f"{total:.2f}", *(f"{v:.2f}" for v in result["retrieval_by_key"][k].values()))
    console = Console()
    console.print(table)
    rollouts = Table(title=f"Rollouts (no-op churn {result['noop_churn']:.3f})")
    rows = ("rollout_psnr", "copy_last_psnr", "tokenizer_psnr", "edge_energy_ratio")
    for name in ("k", *rows):
        rollouts.add_column(name, justify="right")
    for k in result["rollout_psnr"]:
        rollouts.add_row(k, *(f"{result[row][k]:.2f}" for row in rows))
    console.print(rollouts)
