"""`terrarium queues` and `terrarium workers`: what is in line, and who takes it.

terrarium queues list
terrarium queues pause gpu.train
terrarium queues resume gpu.train
terrarium workers
"""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.jobs import SHORT, Json, Url, when
from terrarium.client import Client
from terrarium.store.disk import human

app = typer.Typer(no_args_is_help=True, help="List, pause and resume the queues of a running Terrarium.")
console = Console()


@app.command("list")
def list_(as_json: Json = False, url: Url = None) -> None:
    """What runs and what is in line."""
    queues = Client(url).queues()
    if as_json:
        print(json.dumps(queues))
        return
    table = Table("queue", "running", "queued", "next", "starts in", box=None)
    for queue in queues:
        name = f"{queue['name']} [yellow](paused)[/]" if queue["paused_at"] else queue["name"]
        first = queue["first"][0] if queue["first"] else None
        next_id = first["id"][:SHORT] if first else ""
        table.add_row(name, str(len(queue["running"])), str(queue["queued"]), next_id, starts_text(first))
    console.print(table)


@app.command()
def pause(queue: str, url: Url = None) -> None:
    """Start no job of it until it is resumed; those that run go on."""
    print(f"{queue}: paused, {Client(url).pause(queue)['queued']} queued")


@app.command()
def resume(queue: str, url: Url = None) -> None:
    """Start its jobs again."""
    print(f"{queue}: resumed, {Client(url).resume(queue)['queued']} queued")


def workers(url: str | None, as_json: bool) -> None:
    rows = Client(url).workers()
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("worker", "queues", "runs", "memory", "disk free", "seen", box=None)
    for row in rows:
        runs = f"{row['job']['id'][:SHORT]} {row['job']['kind']}" if row["job"] else ""
        runs = runs if row["alive"] else f"[red]gone[/] {runs}"
        sizes = (human(row[name]) if row[name] is not None else "" for name in ("memory_bytes", "disk_free_bytes"))
        table.add_row(row["name"], " ".join(row["queues"]), runs, *sizes, when(row["seen_at"]))
    console.print(table if rows else "no worker runs: terrarium up starts one")


def starts_text(place: dict[str, Any] | None) -> str:
    if place is None:
        return ""
    seconds = place["starts_in_s"]
    return "unknown" if seconds is None else f"{round(seconds)} s"
