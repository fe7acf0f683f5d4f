"""The client against a real gateway; jobs are moved on by hand, and connections are cut."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from brought import make_dataset, zipped
from processes import gateway_thread
from sqlalchemy.orm import Session

import terrarium
from terrarium import transport
from terrarium.client import Client
from terrarium.store import artifacts, jobs
from terrarium.store.db import session_scope
from terrarium.store.errors import TerrariumError, Unavailable
from terrarium.store.events import Event
from terrarium.store.tables import Metric


@pytest.fixture
def url(db: Session, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(transport, "RETRY_S", (0.01, 0.02, 0.03))
    with gateway_thread() as url:
        monkeypatch.setenv("TERRARIUM_URL", url)
        yield url


@pytest.fixture
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the client's side."""
    return tmp_path_factory.mktemp("here")


class Cut(httpx.BaseTransport):
    """Ends the first `times` answers to GETs below `path` after `after` bytes, and remembers all requests."""

    def __init__(self, path: str, after: int, times: int) -> None:
        self.inner, self.path, self.after, self.times = httpx.HTTPTransport(), path, after, times
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.inner.handle_request(request)
        if self.path in request.url.path and self.times:
            self.times -= 1
            assert isinstance(response.stream, httpx.SyncByteStream)
            response.stream = Short(response.stream, self.after)
        return response


class Short(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, after: int) -> None:
        self.stream, self.left = stream, after

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.stream:
            yield chunk[: self.left]
            self.left -= len(chunk)
            if self.left <= 0:
                raise httpx.ReadError("cut")

    def close(self) -> None:
        self.stream.close()


def run_by_hand(id: str, events: list[Event], error: dict[str, Any] | None = None) -> None:
    """What a worker does."""
    with session_scope() as session:
        job = jobs.claim(session, UUID(id), "worker", 60)
        assert job is not None
        fence = job.fence
    for event in events:
        with session_scope() as session:
            jobs.record(session, UUID(id), fence, [event])
    with session_scope() as session:
        if error:
            jobs.fail(session, UUID(id), fence, error)
        else:
            jobs.finish(session, UUID(id), fence, {"episodes": 6})


def steps(n: int) -> list[Event]:
    return [
        Event("progress", {"step": i + 1, "total": n, "phase": "record", "eta_s": None, "rate": 1.0}) for i in range(n)
    ]


def test_a_job_is_submitted_watched_and_waited_for(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = terrarium.Client()
    assert server.url == url and repr(server) == f"Client('{url}')"
    job = server.submit("dataset.record", "debug", name="Mine", world="plains")
    assert (job["name"], job["config"]["world"], job["config"]["episodes"]) == ("Mine", "plains", 6)
    assert [j["id"] for j in server.jobs(kind="dataset.record")] == [job["id"]] and server.jobs(state="failed") == []
    assert server.job(job["id"][:8])["id"] == job["id"]
    worker = threading.Thread(
        target=run_by_hand, args=(job["id"], [*steps(3), Event("metrics", {"step": 1, "values": {"loss": 0.5}})])
    )
    worker.start()
    done = server.wait(job)
    worker.join()
    assert done["state"] == "succeeded" and done["result"] == {"episodes": 6}
    assert "record 3/3" in capsys.readouterr().out
    seen = list(server.watch(job))
    assert [e.type for e in seen][:2] == ["state", "state"] and [e.seq for e in seen] == sorted(e.seq for e in seen)
    assert list(server.watch(job, after=seen[-1].seq)) == []


def test_watching_goes_on_after_the_last_event_where_a_connection_broke(url: str) -> None:
    cut = Cut("/events", 150, times=3)
    server = Client(url, transport=cut)
    job = server.submit("dataset.record", "debug")
    logs = [Event("log", {"line": f"{i} {'x' * 40}"}) for i in range(4)]
    run_by_hand(job["id"], logs)
    seen = list(server.watch(job))
    assert [e.seq for e in seen] == list(range(1, 8)), "each once"
    asked = [int(r.url.params["after"]) for r in cut.requests if "/events" in r.url.path]
    assert len(asked) == 4 and asked == sorted(asked) and asked[-1] > 0


def test_the_end_of_a_job_that_fails_is_an_error(url: str) -> None:
    server = Client(url)
    job = server.submit("dataset.record", "debug")
    run_by_hand(job["id"], [], error={"code": "nan_loss", "message": "loss is nan at step 3"})
    with pytest.raises(TerrariumError, match="failed: loss is nan at step 3") as raised:
        server.wait(job, progress=False)
    assert raised.value.code == "nan_loss"
    other = server.submit("dataset.record", "debug")
    assert server.cancel(other)["state"] == "cancelled"
    with pytest.raises(TerrariumError, match="cancelled") as raised:
        server.wait(other["id"][:12])
    assert raised.value.code == "cancelled"
    assert server.retry(other)["parent_id"] == other["id"]


def test_what_the_server_refuses_has_its_code(url: str) -> None:
    server = Client(url)
    with pytest.raises(TerrariumError, match="episode: Unexpected keyword argument") as raised:
        server.submit("dataset.record", episode=3)
    assert (raised.value.code, raised.value.status) == ("invalid_input", 422)
    with pytest.raises(TerrariumError, match=r"unknown kind 'moon', expected one of dataset.record"):
        server.submit("moon")
    with pytest.raises(TerrariumError, match="no preset 'tiny', expected one of debug"):
        server.submit("dataset.record", "tiny")
    with pytest.raises(TerrariumError, match="no dataset whose id begins with 'abcd'"):
        server.submit("tokenizer.train", data="abcd")
    with pytest.raises(TerrariumError) as raised:
        server.job("1f0c2a3b-0000-4000-8000-000000000000")
    assert raised.value.code == "job_not_found"


def test_a_server_that_is_not_there_is_named() -> None:
    server = Client("http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 does not answer .*: is `terrarium up` running\?"):
        server.jobs()


def test_a_folder_is_uploaded_named_and_downloaded_again(url: str, here: Path) -> None:
    server = Client(url)
    folder = make_dataset(here / "mine")
    asset = server.upload(folder)
    assert (asset["type"], asset["name"]) == ("dataset", "mine")
    assert server.change(asset, tags=["noise"])["tags"] == ["noise"]
    assert [a["id"] for a in server.assets("dataset", tag="noise")] == [asset["id"]] and server.assets(
        q="nothing"
    ) == []
    assert server.lineage(asset) == {"made_from": [], "made_of_it": []}
    back = server.download_asset(asset["id"][:8], here / "back")
    for file in (path for path in folder.rglob("*") if path.is_file() and path.name != "entry.json"):
        assert (back / file.relative_to(folder)).read_bytes() == file.read_bytes(), file
    assert terrarium.open_dataset(back, verify=True).frame_size == (8, 8)
    archive = server.download_asset(asset, here / "mine.zip")
    again = server.upload(archive, name="other")
    assert again["id"] == asset["id"], "the same content is the same asset"
    with pytest.raises(TerrariumError, match="back is there already"):
        server.download_asset(asset, back)
    server.delete(asset)
    with pytest.raises(TerrariumError, match="whose id begins with"):
        server.asset(asset)
    (here / "wrong.zip").write_bytes(zipped(folder)[:500])
    with pytest.raises(TerrariumError) as raised:
        server.upload(here / "wrong.zip")
    assert raised.value.code == "bad_upload"
    with pytest.raises(TerrariumError, match="nothing is not there"):
        server.upload(here / "nothing")
    assert sorted(p.name for p in here.iterdir() if p.name.startswith(".")) == []


def test_an_assets_download_that_breaks_begins_again(url: str, here: Path) -> None:
    cut = Cut("/download", 1000, times=2)
    server = Client(url, transport=cut)
    asset = server.upload(make_dataset(here / "mine"))
    assert terrarium.open_dataset(server.download_asset(asset, here / "back"), verify=True)
    cut.times = 9
    with pytest.raises(Unavailable, match="does not answer"):
        server.download_asset(asset, here / "more")
    assert sorted(p.name for p in here.iterdir()) == ["back", "mine"]


def test_an_artifact_goes_on_where_it_was_and_is_verified(url: str, here: Path) -> None:
    cut = Cut("/artifacts/", 30_000, times=2)
    server = Client(url, transport=cut)
    job = server.submit("dataset.record", "debug")
    data = bytes(i * i % 251 for i in range(100_000))
    with session_scope() as session:
        session.add(artifacts.put(UUID(job["id"]), "walk.mp4", "video/mp4", data))
    (row,) = server.artifacts(job)
    assert server.download(row, here / "walk.mp4").read_bytes() == data
    ranges = [r.headers.get("range") for r in cut.requests if r.url.path.startswith("/v1/artifacts/")]
    assert ranges[0] is None and len(ranges) == 3 and all(r and r != "bytes=0-" for r in ranges[1:])
    stored = artifacts.settings().artifacts_dir / row["id"]
    stored.write_bytes(data[::-1])
    with pytest.raises(TerrariumError, match=hashlib.sha256(data).hexdigest()) as raised:
        server.download(row["id"], here / "other.mp4")
    assert raised.value.code == "damaged_download" and [p.name for p in here.glob("*other*")] == []


def test_logs_and_metrics(url: str) -> None:
    server = Client(url)
    job = server.submit("dataset.record", "debug")
    with session_scope() as session:
        session.add(Metric(job_id=UUID(job["id"]), key="loss", step=1, value=0.5))
    assert server.metrics(job) == {"loss": [(1, 0.5)]}
    assert isinstance(server.logs(job), str)
