"""A running Terrarium over HTTP.

    server = terrarium.Client()
    job = server.submit("world-model.train", "debug", data="9c41d2e8", name="A first try")
    job = server.wait(job)
    server.download_asset(job["id"], "models/first")

Jobs, assets and artifacts are the objects of the API (docs/rest.md), as dicts. Wherever one is wanted its id will do,
and of a job or an asset the beginning of the id. What the server refuses is a TerrariumError with its `code`.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from terrarium.store.errors import InvalidInput, NotFound, TerrariumError, Unavailable
from terrarium.transport import Event, Transport, parse_events, raise_problem, unpack

AT_REST = ("succeeded", "failed", "cancelled", "quarantined")
SHOWN = 5  # ids that an error names
Row = Mapping[str, Any]  # a job, an asset or an artifact


class Client(Transport):
    """`url`: that of the gateway; if omitted, TERRARIUM_URL, else this machine's. `key`: an API key; if omitted,
    TERRARIUM_API_KEY. `options` are httpx.Client's, such as `auth`, `headers` and `verify` for a proxy in between."""

    # Jobs

    def kinds(self) -> dict[str, Any]:
        """{kind: {title, makes, presets, schema, inputs, ...}}"""
        return self.call("GET", "/job-kinds")

    def submit(
        self,
        kind: str,
        preset: str | None = None,
        *,
        name: str | None = None,
        priority: int = 0,
        processes: int = 1,
        after: Sequence[str | Row] = (),
        **fields: Any,
    ) -> dict[str, Any]:
        """Queues a job and returns it. `fields` of the config go on top of the preset's; inputs are assets. `priority`:
        -10 to 10, the higher starts first. `processes`: so many share a training, a GPU each. `after`: jobs that must
        have succeeded before it starts."""
        kinds = self.kinds()
        if kind not in kinds:
            raise InvalidInput(f"unknown kind {kind!r}, expected one of {', '.join(kinds)}")
        config = _preset(kind, kinds[kind], preset) | fields
        config |= self._full_ids(kinds[kind], config) | {"kind": kind}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        params: dict[str, Any] = {
            "priority": priority,
            "processes": processes,
            "after": [self._job_id(job) for job in after],
        }
        return self.call(
            "POST", "/jobs", json=config, headers=headers, params=params | ({"name": name} if name else {})
        )

    def jobs(self, state: str | None = None, kind: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """The newest."""
        return list(islice(self._items("/jobs", limit, state=state, kind=kind), limit))

    def job(self, job: str | Row) -> dict[str, Any]:
        """As it is now."""
        id = _id(job)
        try:
            return self.call("GET", f"/jobs/{uuid.UUID(id)}")
        except ValueError:
            return _only("job", id, self._items("/jobs"), lambda found: f"{found['kind']}, {found['state']}")

    def watch(self, job: str | Row, after: int = 0) -> Iterator[Event]:
        """Its events after number `after`: those that have been, then each as it happens, until the job ends. Goes on
        where it was when the connection breaks. Unavailable after some seconds without an answer."""
        id, broken = self._job_id(job), 0
        while True:
            try:
                # The gateway sends something at least every 15 s.
                with self.http.stream("GET", f"/v1/jobs/{id}/events", params={"after": after}, timeout=30.0) as answer:
                    if answer.status_code == 204:
                        return
                    raise_problem(answer)
                    for event in parse_events(answer.iter_lines()):
                        after, broken = event.seq, 0
                        yield event
                        if event.type == "state" and event.data["state"] in AT_REST:
                            return
                problem: Exception = Unavailable(f"{self.url} ended the events of job {id}, which has not ended")
            except (httpx.TransportError, Unavailable) as e:
                problem = e
            broken = self._wait_after(broken, problem)

    def wait(self, job: str | Row, progress: bool | Callable[[dict[str, Any]], None] = True) -> dict[str, Any]:
        """The job once it has succeeded; TerrariumError with its error's code if it ends otherwise. `progress` prints,
        or is called with each event's data. An interrupt ends the waiting, not the job."""
        shown = print_progress if progress is True else progress or (lambda data: None)
        for event in self.watch(job):
            if event.type == "progress":
                shown(event.data)
        ended = self.job(job)
        if ended["state"] != "succeeded":
            error = ended["error"] or {"code": ended["state"], "message": ""}
            message = f"job {ended['id']} {ended['state']}: {error['message']}".removesuffix(": ")
            raise TerrariumError(message, code=error["code"])
        return ended

    def cancel(self, job: str | Row) -> dict[str, Any]:
        """Asks it to stop: `cancelling` until its state is saved."""
        return self.call("POST", f"/jobs/{self._job_id(job)}/cancel")

    def retry(self, job: str | Row) -> dict[str, Any]:
        """A new job of the same config, for one that has ended."""
        return self.call("POST", f"/jobs/{self._job_id(job)}/retry")

    def edit(
        self, job: str | Row, *, name: str | None = None, priority: int | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Changes a job that has not started, and returns it. `fields` of the config that are omitted stay."""
        given: dict[str, Any] = {"name": name, "priority": priority, "config": fields or None}
        body = {field: value for field, value in given.items() if value is not None}
        return self.call("PATCH", f"/jobs/{self._job_id(job)}", json=body)

    def cancel_jobs(
        self,
        jobs: Sequence[str | Row] | None = None,
        *,
        state: str | None = None,
        kind: str | None = None,
        queue: str | None = None,
    ) -> dict[str, int]:
        """Asks all jobs that fit to stop -> {"cancelled": how many ended, "cancelling": how many will}."""
        ids = None if jobs is None else [self._job_id(job) for job in jobs]
        given = {"ids": ids, "state": state, "kind": kind, "queue": queue}
        body = {field: value for field, value in given.items() if value is not None}
        return self.call("POST", "/cancellations", json=body, timeout=60.0)

    # Queues

    def place(self, job: str | Row) -> dict[str, Any]:
        """{queue, position, starts_in_s} of a queued job; starts_in_s is None where nobody knows."""
        return self.call("GET", f"/jobs/{self._job_id(job)}/place")

    def queues(self) -> list[dict[str, Any]]:
        """Each with what runs, what is in line, and whether it is paused."""
        return self.call("GET", "/queues")["items"]

    def pause(self, queue: str) -> dict[str, Any]:
        """No job of the queue starts until it is resumed; those that run go on."""
        return self.call("POST", f"/queues/{queue}/pause")

    def resume(self, queue: str) -> dict[str, Any]:
        """Its jobs start again."""
        return self.call("POST", f"/queues/{queue}/resume")

    def workers(self) -> list[dict[str, Any]]:
        """Who serves the queues: what each runs, its memory, its disk."""
        return self.call("GET", "/workers")["items"]

    # Webhooks

    def webhooks(self) -> list[dict[str, Any]]:
        """Who is told of what, newest first."""
        return list(self._items("/webhooks"))

    def add_webhook(
        self, url: str, events: Sequence[str] = ("job.ended", "plan.ended"), name: str = ""
    ) -> dict[str, Any]:
        """Has `url` told of these events. `secret` of what it returns signs them, and is shown this once."""
        return self.call("POST", "/webhooks", json={"url": url, "events": list(events), "name": name}, timeout=60.0)

    def change_webhook(self, id: str, **fields: Any) -> dict[str, Any]:
        """name, url, events, enabled."""
        return self.call("PATCH", f"/webhooks/{id}", json=fields, timeout=60.0)

    def rotate_webhook(self, id: str) -> dict[str, Any]:
        """A new `secret`; the old one signs too for a day."""
        return self.call("POST", f"/webhooks/{id}/rotate")

    def ping_webhook(self, id: str) -> dict[str, Any]:
        """Sends it an event that tells nothing."""
        return self.call("POST", f"/webhooks/{id}/ping")

    def deliveries(self, id: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest to a webhook, and what became of them."""
        return list(islice(self._items(f"/webhooks/{id}/deliveries", limit), limit))

    def delete_webhook(self, id: str) -> None:
        """Nothing more is sent to it."""
        self.call("DELETE", f"/webhooks/{id}")

    # Plans

    def playable(self, prompt: str = "", *, world: str | Row | None = None, preset: str = "cpu") -> dict[str, Any]:
        """Queues the jobs from words, or from a block world, to a world model that plays in it; returns their plan."""
        body: dict[str, Any] = {"prompt": prompt, "preset": preset}
        if world is not None:
            body["world"] = self._asset_id(world)
        return self.call("POST", "/playable", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    def texture(
        self,
        *,
        preset: str = "debug",
        clean: str | Row | None = None,
        game: str | Row | None = None,
        release: str | None = None,
    ) -> dict[str, Any]:
        """Queues the jobs of the staged texture plan, on texture sets or on procedural ones; returns their plan."""
        given = {"clean": clean, "game": game}
        body: dict[str, Any] = {name: self._asset_id(row) for name, row in given.items() if row is not None}
        body |= {"preset": preset, "release": release}
        return self.call("POST", "/texture", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    def plan(self, plan: str | Row) -> dict[str, Any]:
        """As it is now: its state, and the newest job of each step."""
        return self.call("GET", f"/plans/{_id(plan)}")

    def cancel_plan(self, plan: str | Row) -> dict[str, Any]:
        """Asks all its jobs to stop that have not ended."""
        return self.call("POST", f"/plans/{_id(plan)}/cancel")

    # What jobs have written

    def metrics(self, job: str | Row) -> dict[str, list[tuple[int, float]]]:
        """{name: [(step, value), ...]}"""
        series = self.call("GET", f"/jobs/{self._job_id(job)}/metrics")["series"]
        return {name: [(step, value) for step, value in points] for name, points in series.items()}

    def logs(self, job: str | Row) -> str:
        """The end of its log."""
        return self.call("GET", f"/jobs/{self._job_id(job)}/logs")

    def artifacts(self, job: str | Row) -> list[dict[str, Any]]:
        """Pictures, reports and logs that it has shown."""
        return self.call("GET", f"/jobs/{self._job_id(job)}/artifacts")["items"]

    # Assets

    def assets(
        self, type: str | None = None, *, tag: str | None = None, q: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Newest first: of this type, with this tag, with `q` in name, notes or id. A dataset's episodes are counted
        (`counts`); `asset` has them."""
        return list(islice(self._items("/assets", limit, type=type, tag=tag, q=q), limit))

    def asset(self, asset: str | Row, types: Sequence[str] = ()) -> dict[str, Any]:
        """As it is now, with its whole manifest. NotFound where it is none of `types`."""
        return self.call("GET", f"/assets/{self._find(asset, types)['id']}")

    def _find(self, asset: str | Row, types: Sequence[str] = ()) -> dict[str, Any]:
        """As the list has it."""
        id = _id(asset).lower()
        found = [a for a in self._items("/assets", q=id) if not types or a["type"] in types]
        return _only(" or ".join(types) or "asset", id, found, lambda a: f"{a['type']} {a['name']}")

    def lineage(self, asset: str | Row) -> dict[str, Any]:
        """{made_from, made_of_it}, one step each way."""
        return self.call("GET", f"/assets/{self._asset_id(asset)}/lineage")

    def change(
        self,
        asset: str | Row,
        *,
        name: str | None = None,
        notes: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """What is omitted stays as it is."""
        given = {"name": name, "notes": notes, "tags": None if tags is None else list(tags)}
        body = {field: value for field, value in given.items() if value is not None}
        return self.call("PATCH", f"/assets/{self._asset_id(asset)}", json=body)

    def delete(self, asset: str | Row) -> None:
        """For good, with its files. Refused while something that runs needs it."""
        self.call("DELETE", f"/assets/{self._asset_id(asset)}")

    def upload(
        self, path: str | os.PathLike[str], *, name: str | None = None, type: str | None = None
    ) -> dict[str, Any]:
        """A folder of a dataset, tokenizer or world model, or a zip of one, becomes an asset. Streamed; what the server
        has already stays as it is."""
        from zipstream import ZipStream

        path = Path(path)
        if not path.exists():
            raise InvalidInput(f"{path} is not there: expected a folder or a zip")
        params = {key: value for key, value in {"name": name, "type": type, "file": path.name}.items() if value}
        headers = {"Content-Type": "application/zip"}
        options: dict[str, Any] = {"params": params, "timeout": httpx.Timeout(10.0, read=None, write=60.0)}
        if path.is_file():
            with path.open("rb") as stream:
                return self.call("POST", "/uploads", content=stream, headers=headers, **options)
        archive = ZipStream(sized=True)
        for file in sorted(path.rglob("*")):
            if file.is_file():
                archive.add_path(file, str(file.relative_to(path)))
        headers["Content-Length"] = str(len(archive))
        return self.call("POST", "/uploads", content=iter(archive), headers=headers, **options)

    # Downloads

    def download(self, artifact: str | Row, to: str | os.PathLike[str]) -> Path:
        """An artifact's bytes as the file `to`. Goes on where it was after a break, that of an earlier call too, and
        the sha256 is checked."""
        id, target = str(uuid.UUID(_id(artifact))), Path(to)
        if target.is_dir():
            raise InvalidInput(f"{target} is a folder: expected the name of a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        draft, broken = target.with_name(f".{target.name}.{id}.partial"), 0
        while True:
            try:
                sha256 = self._fetch(f"/artifacts/{id}", draft)
                break
            except (httpx.TransportError, Unavailable) as e:
                broken = self._wait_after(broken, e)
        with draft.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            draft.unlink()
            raise TerrariumError(f"artifact {id} came as {found}, expected {sha256}", code="damaged_download")
        draft.replace(target)
        return target

    def download_asset(self, asset: str | Row, to: str | os.PathLike[str]) -> Path:
        """The files of an asset as the folder `to`, which must not be there yet; every file's checksum is checked. As a
        zip where `to` ends in .zip. A download that breaks begins again."""
        id, target = self._asset_id(asset), Path(to)
        if target.exists():
            raise InvalidInput(f"{target} is there already: expected a new path")
        target.parent.mkdir(parents=True, exist_ok=True)
        archive, broken = target.with_name(f".{target.name}.zip.partial"), 0
        try:
            while True:
                archive.unlink(missing_ok=True)
                try:
                    self._fetch(f"/assets/{id}/download", archive)
                    break
                except (httpx.TransportError, Unavailable) as e:
                    broken = self._wait_after(broken, e)
            unpack(archive, target)
        except ValueError as e:
            raise TerrariumError(f"asset {id}: {e}", code="damaged_download") from None
        finally:
            archive.unlink(missing_ok=True)
        return target

    def _full_ids(self, facts: Row, config: Row) -> dict[str, Any]:
        """The fields that name assets, their ids written out. Recorded play has names, not ids."""
        found: dict[str, Any] = {}
        for field, types in facts["inputs"].items():
            value = config.get(field)
            if value and types != ["play"]:
                named = value if isinstance(value, list | tuple) else [value]
                ids = [self._find(one, types)["id"] for one in named]
                found[field] = ids if isinstance(value, list | tuple) else ids[0]
        return found

    def _job_id(self, job: str | Row) -> str:
        return _id(job) if isinstance(job, Mapping) else self.job(job)["id"]

    def _asset_id(self, asset: str | Row) -> str:
        return _id(asset) if isinstance(asset, Mapping) else self._find(asset)["id"]


def print_progress(data: Row) -> None:
    left = "" if data["eta_s"] is None else f", {data['eta_s']:.0f} s left"
    print(f"{data['phase']} {data['step']}/{data['total']}{left}", flush=True)


def _id(row: str | Row) -> str:
    return str(row["id"]) if isinstance(row, Mapping) else str(row)


def _only(what: str, short: str, items: Iterable[dict[str, Any]], describe: Callable[[Row], str]) -> dict[str, Any]:
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


def _preset(kind: str, facts: Row, preset: str | None) -> dict[str, Any]:
    if preset is None:
        return {}
    presets = facts["presets"]
    if preset not in presets:
        raise InvalidInput(f"{kind} has no preset {preset!r}, expected one of {', '.join(presets) or 'none'}")
    return presets[preset]
