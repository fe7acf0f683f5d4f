"""HTTP below the client: requests, lists page by page, event streams and downloads that go on after a break.

What the server refuses is a TerrariumError with its `code`; one that does not answer is Unavailable.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from terrarium.store.errors import TerrariumError, Unavailable
from terrarium.worlds.archive import open_archive
from terrarium.worlds.durable import new_folder

HERE = "http://127.0.0.1:8420"  # where neither an argument nor TERRARIUM_URL names another
RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # waits before a broken stream or download goes on; a gateway restarts in between
CHUNK = 2**16


class Event(NamedTuple):
    seq: int
    type: str  # state, progress, metrics, file, checkpoint, resumed, log
    data: dict[str, Any]


class Transport:
    def __init__(self, url: str | None = None, key: str | None = None, **options: Any) -> None:
        self.url = (url or os.environ.get("TERRARIUM_URL") or HERE).rstrip("/")
        self.http = httpx.Client(base_url=self.url, **{"timeout": 10.0} | options)
        if key := key or os.environ.get("TERRARIUM_API_KEY"):
            self.http.headers["Authorization"] = f"Bearer {key}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Any request below /v1; JSON, or else text. TerrariumError for a problem that the server names."""
        try:
            response = self.http.request(method, f"/v1{path}", **options)
        except httpx.TransportError as e:
            raise self._unreachable(e) from None
        raise_problem(response)
        json_like = response.headers.get("content-type", "").startswith("application/json")
        return response.json() if json_like and response.content else response.text

    def _items(self, path: str, limit: int | None = None, **params: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page; `limit` is how many are wanted, for the size of a page."""
        given = {name: value for name, value in params.items() if value is not None}
        given["limit"] = 200 if limit is None else min(max(limit, 1), 200)
        while True:
            page = self.call("GET", path, params=given)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            given["cursor"] = page["next_cursor"]

    def _fetch(self, path: str, draft: Path) -> str:
        """Appends to `draft` what it lacks; returns the ETag, which is the sha256 of an artifact."""
        have = draft.stat().st_size if draft.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self.http.stream("GET", f"/v1{path}", headers=headers, timeout=30.0) as answer:
            if answer.status_code == 416:  # there is no more
                draft.unlink()
                raise Unavailable(f"{draft} is longer than {path}")
            raise_problem(answer)
            with draft.open("ab" if answer.status_code == 206 else "wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
            return answer.headers.get("etag", "").strip('"')

    def _wait_after(self, broken: int, problem: Exception) -> int:
        """Waits before attempt number `broken` + 1; raises after the last."""
        if broken == len(RETRY_S):
            raise problem if isinstance(problem, TerrariumError) else self._unreachable(problem)
        time.sleep(RETRY_S[broken])
        return broken + 1

    def _unreachable(self, e: Exception) -> Unavailable:
        hint = "is `terrarium up` running? TERRARIUM_URL, url= or --url names another"
        return Unavailable(f"{self.url} does not answer ({e}): {hint}")


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Server-Sent Events."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


def raise_problem(response: httpx.Response) -> None:
    if not response.is_error:
        return
    response.read()
    try:
        body = response.json()
        detail, code = body["detail"], body["code"]
    except (ValueError, KeyError, TypeError):
        detail, code = f"{response.status_code} {response.reason_phrase}", "http"
    error = Unavailable if response.status_code == 503 else TerrariumError
    raise error(detail, code=code, status=response.status_code)


def unpack(archive: Path, target: Path) -> None:
    """ValueError where a file differs from its checksum."""
    with open_archive(archive) as files:
        if target.suffix == ".zip":
            for file in files.values():
                with file.open() as stream:
                    while stream.read(CHUNK):  # compares checksums
                        pass
        else:
            with new_folder(target) as draft:
                for name, file in files.items():
                    (draft / name).parent.mkdir(parents=True, exist_ok=True)
                    with file.open() as stream, (draft / name).open("xb") as copy:
                        while chunk := stream.read(CHUNK):
                            copy.write(chunk)
    if target.suffix == ".zip":
        archive.replace(target)
