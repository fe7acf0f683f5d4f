"""`terrarium webhooks`: who a running Terrarium tells of what happens, over HTTP.

terrarium webhooks create https://ci.example/hooks/terrarium
terrarium webhooks create https://ci.example/hooks/terrarium --events plan.ended
terrarium webhooks list
terrarium webhooks ping ID
terrarium webhooks deliveries ID
terrarium webhooks rotate ID
terrarium webhooks enable ID
terrarium webhooks delete ID
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from terrarium.cli.jobs import Json, Url, when
from terrarium.client import Client

app = typer.Typer(no_args_is_help=True, help="Have a running Terrarium tell other programs what happens.")
Id = Annotated[str, typer.Argument(help="As `terrarium webhooks list` shows it.")]
console = Console()


@app.command()
def create(
    address: Annotated[str, typer.Argument(help="https://host/path, to which events are posted.")],
    events: Annotated[str, typer.Option(help="Some of job.ended,plan.ended.")] = "job.ended,plan.ended",
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Tell an address, and print the secret that signs: now and never again."""
    made = Client(url).add_webhook(address, [event.strip() for event in events.split(",")], name)
    print(json.dumps(made) if as_json else f"{made['id']}\n{made['secret']}")


@app.command("list")
def list_(as_json: Json = False, url: Url = None) -> None:
    """All of them, the newest first."""
    webhooks = Client(url).webhooks()
    if as_json:
        print(json.dumps(webhooks))
        return
    table = Table("id", "url", "events", "state", box=None)
    for webhook in webhooks:
        failing = f"failing since {when(webhook['failing_since'])}" if webhook["failing_since"] else "enabled"
        state = f"[red]disabled[/]: {webhook['disabled_because']}" if webhook["disabled_at"] else failing
        table.add_row(webhook["id"], webhook["url"], " ".join(webhook["events"]), state)
    console.print(table if webhooks else "none: terrarium webhooks create https://...")


@app.command()
def ping(id: Id, url: Url = None) -> None:
    """Send it an event that tells nothing."""
    print(f"{Client(url).ping_webhook(id)['id']}: terrarium webhooks deliveries {id} says what became of it")


@app.command()
def deliveries(id: Id, limit: int = 20, as_json: Json = False, url: Url = None) -> None:
    """What was sent to it, the newest first."""
    rows = Client(url).deliveries(id, limit)
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("event", "created", "attempts", "outcome", box=None)
    for row in rows:
        tried = row["error"] or "not sent yet"
        outcome = (
            "delivered" if row["delivered_at"] else tried if row["due_at"] else f"[red]given up[/]: {row['error']}"
        )
        table.add_row(row["event"], when(row["created_at"]), str(row["attempts"]), outcome)
    console.print(table)


@app.command()
def rotate(id: Id, url: Url = None) -> None:
    """Print a new secret; the old one signs too for a day."""
    print(Client(url).rotate_webhook(id)["secret"])


@app.command()
def enable(id: Id, url: Url = None) -> None:
    """Let one go on that was disabled."""
    print(f"{Client(url).change_webhook(id, enabled=True)['url']}: enabled")


@app.command()
def disable(id: Id, url: Url = None) -> None:
    """Send nothing to it until it is enabled again."""
    print(f"{Client(url).change_webhook(id, enabled=False)['url']}: disabled")


@app.command()
def delete(id: Id, url: Url = None) -> None:
    """Forget it."""
    Client(url).delete_webhook(id)
