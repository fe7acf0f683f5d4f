"""terrarium texture --preset debug --out out/texture
terrarium texture --preset default --clean data/matsynth --game data/skyrim --out out/texture
terrarium texture --url http://127.0.0.1:8420

The staged texture plan: here, in one folder, where the same command goes on after a stop and, with --release, after a
closed gate; or, with --url, as a plan of jobs of a running Terrarium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from terrarium.cli.console import run_recipe
from terrarium.client import Client
from terrarium.plans import run_plan, steps_of_texture


def here(preset: str, clean: str | None, game: str | None, release: str | None, out: Path, as_json: bool) -> None:
    """Runs every step in `out`, says what each gate found, and prints {step: result} as JSON where asked to."""

    def run_one(config: Any, folder: Path) -> dict[str, Any]:
        result = run_recipe(config, folder)
        if gate := result.get("gate"):
            typer.echo(f"{result['checkpoint']}: gate {'open' if gate['open'] else 'closed'}, {gate['why']}", err=True)
        return result

    made = run_plan(steps_of_texture(preset, clean, game, release), out, run_one)
    if as_json:
        print(json.dumps({step: one.result | {"output": str(one.folder)} for step, one in made.items()}))
    typer.echo(f"The plan's model: {list(made.values())[-1].folder}", err=True)


def there(preset: str, clean: str | None, game: str | None, release: str | None, url: str, as_json: bool) -> None:
    """Submits the plan, follows its jobs one after the other, and prints the plan. Ctrl-C stops watching, not the
    jobs."""
    from terrarium.cli.jobs import follow

    client = Client(url)
    plan = client.texture(preset=preset, clean=clean, game=game, release=release)
    typer.echo(f"plan {plan['id']}: {', '.join(step['name'] for step in plan['steps'])}", err=True)
    for step in plan["steps"]:
        follow(client, step["job"])
    if as_json:
        print(json.dumps(client.plan(plan)))
