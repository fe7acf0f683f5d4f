"""`terrarium jobs`: the jobs of a running Terrarium, over HTTP.

    terrarium jobs submit dataset.record --preset debug --set seed=7 --watch
    terrarium jobs submit tokenizer.train --set data=9c41d2e8
    terrarium jobs list --json
    terrarium jobs watch 1f0c
    terrarium jobs cancel 1f0c
    terrarium jobs logs 1f0c

An id may be cut short as far as it means one job, or one asset; lists show 8 characters.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from terrarium.store.errors import InvalidInput, NotFound, TerrariumError, Unavailable

app = typer.Typer(no_args_is_help=True, help="Submit, list, watch and cancel jobs of a running Terrarium.")
Url = Annotated[str, typer.Option(envvar="TERRARIUM_URL", help="Address of the gateway.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HERE = "http://127.0.0.1:8420"
AT_REST = ("succeeded", "failed", "cancelled", "quarantined")
SHORT = 8  # characters of an id that lists show
SHOWN = 5  # ids that an error names
COLOURS = {"succeeded": "green", "failed": "red", "quarantined": "red", "running": "cyan", "cancelled": "yellow"}
console = Console()


class Gateway:
    """HTTP with problems as exceptions."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.http = httpx.Client(base_url=self.url, timeout=10.0)

    def call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self.http.request(method, f"/v1{path}", **options)
        except httpx.TransportError as e:
            raise self._unreachable(e) from None
        raise_problem(response)
        json_like = response.headers.get("content-type", "").startswith("application/json")
        return response.json() if json_like and response.content else response.text

    def events(self, id: str, after: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
        """(type, data) until the job ends; goes on where it was when the connection breaks."""
        broken = 0
        while True:
            try:
                # The gateway says something at least every 15 s.
                with self.http.stream("GET", f"/v1/jobs/{id}/events?after={after}", timeout=30.0) as response:
                    if response.status_code == 204:
                        return
                    if response.is_error:
                        response.read()
                    raise_problem(response)
                    for seq, type, data in parse_events(response.iter_lines()):
                        after, broken = seq, 0
                        yield type, data
                        if type == "state" and data["state"] in AT_REST:
                            return
            except httpx.TransportError as e:
                broken += 1
                if broken > 5:
                    raise self._unreachable(e) from None

    def items(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor = None
        while True:
            page = self.call("GET", path, params={**params, "limit": 200} | ({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def find(self, short: str) -> dict[str, Any]:
        """The job of an id, or of its beginning."""
        try:
            return self.call("GET", f"/jobs/{uuid.UUID(short)}")
        except ValueError:
            return only("job", short, self.items("/jobs"), lambda job: f"{job['kind']}, {job['state']}")

    def find_asset(self, short: str, types: Sequence[str] = ()) -> dict[str, Any]:
        """The asset, of one of the types, of an id or its beginning."""
        found = [a for a in self.items("/assets", q=short.lower()) if a["type"] in (types or [a["type"]])]
        return only(" or ".join(types) or "asset", short, found, lambda asset: f"{asset['type']} {asset['name']}")

    def _unreachable(self, e: Exception) -> Unavailable:
        return Unavailable(f"{self.url} does not answer ({e}): is `terrarium up` running? --url names another")


def only(
    what: str, short: str, items: Iterable[dict[str, Any]], describe: Callable[[dict[str, Any]], str]
) -> dict[str, Any]:
    """The item whose id begins with `short`. NotFound where there is none, InvalidInput names several."""
    begun = [item for item in items if item["id"].startswith(short.lower())]
    found = [item for item in begun if item["id"] == short.lower()] or begun
    if not found:
        raise NotFound(f"no {what} whose id begins with {short!r}")
    if len(found) > 1:
        listed = "; ".join(f"{item['id']} ({describe(item)})" for item in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise InvalidInput(f"{short!r} begins {len(found)} ids, write more of it: {listed}{more}")
    return found[0]


def raise_problem(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        body = response.json()
        detail, code = body["detail"], body["code"]
    except (ValueError, KeyError, TypeError):
        detail, code = f"{response.status_code} {response.reason_phrase}", "http"
    raise TerrariumError(detail, code=code, status=response.status_code)


def parse_events(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Server-Sent Events as (seq, type, data)."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


@app.command()
def submit(
    kind: Annotated[str, typer.Argument(help="dataset.record, tokenizer.train, world-model.train, ...")],
    preset: Annotated[str | None, typer.Option(help="Start from a preset: debug, cpu, small, ...")] = None,
    set: Annotated[list[str], typer.Option(help="A field: --set data=ID --set steps=500")] = [],  # noqa: B006
    watch: Annotated[bool, typer.Option(help="Show its progress until it ends.")] = False,
    url: Url = HERE,
) -> None:
    """Queue a job and print its id."""
    gateway = Gateway(url)
    facts = known_kind(gateway, kind)
    given = preset_of(kind, facts, preset) | dict(map(parse_field, set))
    config = given | full_ids(gateway, facts, given) | {"kind": kind}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    job = gateway.call("POST", "/jobs", json=config, headers=headers)
    print(job["id"])
    if watch:
        follow(gateway, job)


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only of this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 20,
    as_json: Json = False,
    url: Url = HERE,
) -> None:
    """The newest jobs."""
    query = {"state": state, "kind": kind, "limit": limit}
    params = {name: value for name, value in query.items() if value is not None}
    jobs = Gateway(url).call("GET", "/jobs", params=params)["items"]
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
def watch(id: str, url: Url = HERE) -> None:
    """Show a job's progress until it ends. Ctrl-C stops watching, not the job."""
    gateway = Gateway(url)
    follow(gateway, gateway.find(id))


@app.command()
def cancel(id: str, url: Url = HERE) -> None:
    """Ask a job to stop."""
    gateway = Gateway(url)
    job = gateway.call("POST", f"/jobs/{gateway.find(id)['id']}/cancel")
    print(job["state"])


@app.command()
def logs(id: str, url: Url = HERE) -> None:
    """The end of a job's log."""
    gateway = Gateway(url)
    print(gateway.call("GET", f"/jobs/{gateway.find(id)['id']}/logs"), end="")


def known_kind(gateway: Gateway, kind: str) -> dict[str, Any]:
    kinds = gateway.call("GET", "/job-kinds")
    if kind not in kinds:
        raise InvalidInput(f"unknown kind {kind!r}, expected one of {', '.join(kinds)}")
    return kinds[kind]


def full_ids(gateway: Gateway, facts: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The fields that name assets, their ids written out. Recorded play has names, not ids."""
    found: dict[str, Any] = {}
    for field, types in facts["inputs"].items():
        value = given.get(field)
        if value and types != ["play"]:
            named = value if isinstance(value, list) else [value]
            ids = [gateway.find_asset(str(short), types)["id"] for short in named]
            found[field] = ids if isinstance(value, list) else ids[0]
    return found


def preset_of(kind: str, facts: dict[str, Any], preset: str | None) -> dict[str, Any]:
    if preset is None:
        return {}
    presets = facts["presets"]
    if preset not in presets:
        raise InvalidInput(f"{kind} has no preset {preset!r}, expected one of {', '.join(presets) or 'none'}")
    return presets[preset]


def parse_field(text: str) -> tuple[str, Any]:
    """`steps=500` -> ("steps", 500); what is not JSON is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidInput(f"--set {text!r}: expected name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def follow(gateway: Gateway, job: dict[str, Any]) -> None:
    """A bar until the job ends; exit code 1 unless it succeeded."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{job['kind']} {job['state']}", total=None, note="")
        for type, data in gateway.events(job["id"]):
            if type == "state":
                bar.update(task, description=f"{job['kind']} {data['state']}")
            elif type == "progress":
                note = f"{data['phase']} {eta_text(data.get('eta_s'))}"
                bar.update(task, completed=data["step"], total=data["total"], note=note)
    job = gateway.call("GET", f"/jobs/{job['id']}")
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
