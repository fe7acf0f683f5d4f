"""`terrarium assets`: the library of a running Terrarium, over HTTP.

    terrarium assets list --type dataset
    terrarium assets show 9c41d2e8
    terrarium assets rename 9c41d2e8 "Night walks"
    terrarium assets rm 9c41d2e8

An id may be cut short as far as it means one asset; lists show 8 characters. `terrarium add` puts something in.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from terrarium.cli.jobs import SHORT, Json, Url, console, when
from terrarium.client import Client
from terrarium.store.disk import human

app = typer.Typer(no_args_is_help=True, help="List, show, rename and delete what a running Terrarium has.")
Id = Annotated[str, typer.Argument(help="An id, or its beginning.")]


@app.command("list")
def list_(
    type: Annotated[str | None, typer.Option(help="Only of this type.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    q: Annotated[str | None, typer.Option("--search", help="In name, notes or id.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """All assets, newest first."""
    assets = Client(url).assets(type, tag=tag, q=q)
    if as_json:
        print(json.dumps(assets))
        return
    table = Table("id", "type", "name", "size", "created", box=None)
    for asset in assets:
        size = "" if asset["size"] is None else human(asset["size"])
        table.add_row(asset["id"][:SHORT], asset["type"], escape(asset["name"]), size, when(asset["created_at"]))
    console.print(table if assets else "none: terrarium add FOLDER, or terrarium jobs submit dataset.record")


@app.command()
def show(id: Id, url: Url = None) -> None:
    """An asset as JSON, with what it was made from (made_from) and what was made of it (made_of_it)."""
    client = Client(url)
    asset = client.asset(id)
    print(json.dumps(asset | client.lineage(asset), indent=1))


@app.command()
def rename(id: Id, name: Annotated[str, typer.Argument(help="The new name.")], url: Url = None) -> None:
    """Give an asset another name."""
    print(Client(url).change(id, name=name)["name"])


@app.command()
def rm(id: Id, url: Url = None) -> None:
    """Delete an asset and its files. Refused while something that runs needs it."""
    client = Client(url)
    asset = client.asset(id)
    client.delete(asset)
    print(f"deleted {asset['type']} {asset['id']}")
