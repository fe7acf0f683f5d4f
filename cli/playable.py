"""terrarium playable "a stone castle with four towers" --preset cpu --out out/castle
terrarium playable --world castle.json --out out/castle
terrarium playable "a stone castle with four towers" --url http://127.0.0.1:8420

A world of words, walks recorded in it, and a world model trained on them: here, in one folder, where the same command
goes on after a stop; or, with --url, as a plan of jobs of a running Terrarium."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import typer

from terrarium.cli.console import run_recipe
from terrarium.client import Client
from terrarium.plans import run_plan, steps_of_playable


def here(prompt: str, world: str | None, preset: str, out: Path, as_json: bool) -> None:
    """Runs every step in `out`, and prints {step: result} as JSON or the command that plays."""
    made = run_plan(steps_of_playable(prompt, preset, world), out, run_recipe)
    model = made["world-model"].folder
    if as_json:
        print(json.dumps({step: one.result | {"output": str(one.folder)} for step, one in made.items()}))
    typer.echo(f"Play it: terrarium play --checkpoint {shlex.quote(str(model))}", err=True)


def there(prompt: str, world: str | None, preset: str, url: str, as_json: bool) -> None:
    """Submits the plan, follows its jobs one after the other, and prints the plan or the address that plays. Ctrl-C
    stops watching, not the jobs."""
    from terrarium.cli.jobs import follow

    client = Client(url)
    plan = client.playable(prompt, world=world, preset=preset)
    typer.echo(f"plan {plan['id']}: {', '.join(step['name'] for step in plan['steps'])}", err=True)
    for step in plan["steps"]:
        follow(client, step["job"])
    plan = client.plan(plan)
    if as_json:
        print(json.dumps(plan))
    typer.echo(f"Play it: {client.url}/?checkpoint={plan['steps'][-1]['job']['id']}", err=True)
