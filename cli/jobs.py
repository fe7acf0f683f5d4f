"""`terrarium jobs`: the jobs of a running Terrarium, over HTTP.

    terrarium jobs submit dataset.record --preset debug --set seed=7 --watch
    terrarium jobs submit tokenizer.train --set data=9c41d2e8
    terrarium jobs list --json
    terrarium jobs watch 1f0c
    terrarium jobs submit world-model.train --set data=9c41 --after 1f0c --priority 5
    terrarium jobs edit 1f0c --priority 8 --set steps=500
    terrarium jobs cancel 1f0c 2a7b
    terrarium jobs cancel --state queued --kind tokenizer.train
    terrarium jobs logs 1f0c
    terrarium jobs curves 1f0c out/curves

An id may be cut short as far as it means one job, or one asset; lists show 8 characters.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from terrarium.client import AT_REST, Client
from terrarium.store.errors import InvalidInput
from terrarium.transport import HERE

app = typer.Typer(no_args_is_help=True, help="Submit, list, watch and cancel jobs of a running Terrarium.")
Url = Annotated[str | None, typer.Option(help=f"Address of the gateway (TERRARIUM_URL, or {HERE}).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SHORT = 8  # characters of an id that lists show
COLOURS = {"succeeded": "green", "failed": "red", "quarantined": "red", "running": "cyan", "cancelled": "yellow"}
console = Console()


@app.command()
def submit(
    kind: Annotated[str, typer.Argument(help="dataset.record, tokenizer.train, world-model.train, ...")],
    preset: Annotated[str | None, typer.Option(help="Start from a preset: debug, cpu, small, ...")] = None,
    name: Annotated[str | None, typer.Option(help="Its name. If omitted, it says what the job does.")] = None,
    set: Annotated[list[str], typer.Option(help="A field: --set data=ID --set steps=500")] = [],  # noqa: B006
    priority: Annotated[int, typer.Option(min=-10, max=10, help="The higher starts first.")] = 0,
    processes: Annotated[int, typer.Option(min=1, max=64, help="So many share a training, a GPU each.")] = 1,
    after: Annotated[list[str], typer.Option(help="A job that must have succeeded before it starts.")] = [],  # noqa: B006
    watch: Annotated[bool, typer.Option(help="Show its progress until it ends.")] = False,
    url: Url = None,
) -> None:
    """Queue a job and print its id."""
    client = Client(url)
    fields = dict(map(parse_field, set))
    job = client.submit(kind, preset, name=name, priority=priority, processes=processes, after=after, **fields)
    print(job["id"])
    if watch:
        follow(client, job)


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only of this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 20,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """The newest jobs."""
    jobs = Client(url).jobs(state, kind, limit)
    if as_json:
        print(json.dumps(jobs))
        return
    table = Table("id", "kind", "state", "progress", "created", box=None)
    for job in jobs:
        colour = COLOURS.get(job["state"], "white")
        state = f"[{colour}]{job['state']}[/]"
        table.add_row(job["id"][:SHORT], job["kind"], state, progress_text(job), when(job["created_at"]))
    console.print(table if jobs else "no jobs yet: terrarium jobs submit dataset.record --preset debug")


@app.command()
def watch(id: str, url: Url = None) -> None:
    """Show a job's progress until it ends. Ctrl-C stops watching, not the job."""
    client = Client(url)
    follow(client, client.job(id))


@app.command()
def edit(
    id: str,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    priority: Annotated[int | None, typer.Option(min=-10, max=10, help="The higher starts first.")] = None,
    set: Annotated[list[str], typer.Option(help="A field of its config: --set steps=500")] = [],  # noqa: B006
    url: Url = None,
) -> None:
    """Change a job that has not started."""
    job = Client(url).edit(id, name=name, priority=priority, **dict(map(parse_field, set)))
    print(f"{job['id']} {job['name']}, priority {job['priority']}")


@app.command()
def cancel(
    ids: Annotated[list[str] | None, typer.Argument(help="Some jobs. If omitted, all that the options name.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, queued, running or retry_wait.")] = None,
    kind: Annotated[str | None, typer.Option(help="Of this kind.")] = None,
    queue: Annotated[str | None, typer.Option(help="In this queue.")] = None,
    url: Url = None,
) -> None:
    """Ask jobs to stop."""
    if ids and len(ids) == 1 and not (state or kind or queue):
        print(Client(url).cancel(ids[0])["state"])
        return
    if not (ids or state or kind or queue):
        raise InvalidInput("cancel: expected ids of jobs, or some of --state, --kind and --queue")
    counts = Client(url).cancel_jobs(ids, state=state, kind=kind, queue=queue)
    print(f"{counts['cancelled']} cancelled, {counts['cancelling']} asked to stop")


@app.command()
def logs(id: str, url: Url = None) -> None:
    """The end of a job's log."""
    print(Client(url).logs(id), end="")


@app.command()
def curves(
    id: str, folder: Annotated[Path, typer.Argument(help="Folder for TensorBoard's files.")], url: Url = None
) -> None:
    """Write all that a job has measured for TensorBoard."""
    from terrarium.cli.curves import Curves

    found = Client(url).metrics(id)
    out = Curves(folder)
    for name, points in found.items():
        for step, value in points:
            out.write(step, {name: value})
    out.close()
    print(f"{len(found)} curves in {folder}")


def parse_field(text: str) -> tuple[str, Any]:
    """`steps=500` -> ("steps", 500); what is not JSON is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidInput(f"--set {text!r}: expected name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def follow(client: Client, job: dict[str, Any]) -> None:
    """A bar until the job ends; exit code 1 unless it succeeded."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{job['kind']} {job['state']}", total=None, note="")
        for _, type, data in client.watch(job):
            if type == "state":
                bar.update(task, description=f"{job['kind']} {data['state']}")
            elif type == "progress":
                note = f"{data['phase']} {eta_text(data.get('eta_s'))}"
                bar.update(task, completed=data["step"], total=data["total"], note=note)
    job = client.job(job)
    if job["state"] != "succeeded":
        error = job["error"] or {"code": job["state"], "message": ""}
        console.print(f"[red]{job['state']}[/] {error['code']}: {error['message']}", highlight=False)
        raise typer.Exit(1)
    console.print_json(data=job["result"])


def when(created_at: str) -> str:
    return datetime.fromisoformat(created_at).astimezone().strftime("%d %b %H:%M")


def eta_text(eta_s: float | None) -> str:
    if eta_s is None:
        return ""
    minutes, seconds = divmod(round(eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


def progress_text(job: dict[str, Any]) -> str:
    progress = job["progress"]
    if job["state"] in AT_REST or not progress:
        return (job["error"] or {}).get("code", "")
    return f"{progress['step']}/{progress['total']} {progress['phase']} {eta_text(progress['eta_s'])}".strip()
