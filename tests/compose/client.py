"""The published port as people use it: jobs over REST, live play over the WebSocket."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
from play_client import PlayClient
from processes import until

ENDED = ("succeeded", "failed", "cancelled", "quarantined")


class Gateway:
    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=f"{url}/v1", timeout=30, headers={"Authorization": f"Bearer {key}"})
        self.kinds = self.get("/job-kinds")

    def get(self, path: str) -> Any:
        """Asked again while the gateway is down or not ready."""

        def answer() -> httpx.Response | None:
            try:
                response = self.http.get(path)
            except httpx.TransportError:
                return None
            return None if response.status_code >= 500 else response

        return until(answer, timeout_s=120, every_s=0.3).raise_for_status().json()

    def submit(self, kind: str, **values: Any) -> str:
        """The id of a job with the preset `debug`, changed by `values`."""
        preset = self.kinds[kind]["presets"].get("debug", {"kind": kind})
        response = self.http.post("/jobs", json=preset | values)
        if response.is_error:
            raise RuntimeError(f"{kind} was refused: {response.text}")
        return response.json()["id"]

    def job(self, id: str) -> dict[str, Any]:
        return self.get(f"/jobs/{id}")

    def wait(self, id: str, timeout_s: float = 600) -> dict[str, Any]:
        """The job when it has succeeded."""
        job = until(lambda: self._ended(id), timeout_s, every_s=0.3)
        assert job["state"] == "succeeded", job
        return job

    def _ended(self, id: str) -> dict[str, Any] | None:
        job = self.job(id)
        return job if job["state"] in ENDED else None

    def wait_saved(self, id: str) -> int:
        """The step of the first state that a job saves."""
        saved = (data["step"] for type, data in self.events(id) if type == "checkpoint")
        return next(saved)

    def events(self, id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(type, data) of what has happened to a job, then what happens, until its end."""
        type = ""
        with self.http.stream("GET", f"/jobs/{id}/events", timeout=300) as response:
            for line in response.raise_for_status().iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    type = value
                elif name == "data":
                    yield type, json.loads(value)

    def story(self, id: str) -> str:
        """The states that a job went through, and where it was resumed."""
        words = []
        for type, data in self.events(id):
            if type == "state":
                words.append(data["state"])
            elif type == "resumed":
                words.append(f"resumed from step {data['step']}")
        return ", ".join(words)

    def logged_steps(self, id: str) -> list[int]:
        """The steps at which a training wrote its loss."""
        series = self.get(f"/jobs/{id}/metrics")["series"]
        return [step for step, _ in series["loss"]]

    def status(self) -> str:
        """Of readiness: `200`, `503 not_ready`, `no answer`."""
        try:
            response = httpx.get(f"{self.url}/health/ready", timeout=10)
        except httpx.TransportError:
            return "no answer"
        return "200" if response.is_success else f"{response.status_code} {response.json()['detail']}"

    def counts(self) -> dict[str, int]:
        return {what: len(self.get(f"/{what}?limit=100")["items"]) for what in ("jobs", "datasets", "checkpoints")}


class Play(threading.Thread):
    """One session that walks on and records until it is told to leave or its socket closes."""

    def __init__(self, gateway: Gateway, checkpoint: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.gateway, self.checkpoint, self.seed = gateway, checkpoint, seed
        self.client: PlayClient | None = None
        self.leave = threading.Event()
        self.began = time.monotonic()
        self.first_frame_s = 0.0
        self.failure: BaseException | None = None
        self.start()
        self.wait_frames(1)

    def run(self) -> None:
        try:
            asyncio.run(self._play())
        except BaseException as e:
            self.failure = e
            raise

    async def _play(self) -> None:
        wanted = {"checkpoint": self.checkpoint, "seed": self.seed}
        session = self.gateway.http.post("/play/sessions", json=wanted).raise_for_status().json()
        url = self.gateway.url.replace("http", "ws", 1) + session["url"]
        client = await PlayClient.open(url, ticket=session["ticket"])
        await client.text("hello", 120)
        await client.more_frames(1, 120)
        self.first_frame_s = time.monotonic() - self.began
        await client.say("settings", record=True)
        settings = await client.text("settings", 60)
        assert settings["record"], "the player does not record"
        await client.input("w", hold=True)
        self.client = client
        while not self.leave.is_set() and client.closed is None:
            await asyncio.sleep(0.05)
        if client.closed is None:
            await client.close()

    def wait_frames(self, count: int) -> int:
        """Until so many frames have come, or no more can."""
        until(lambda: self.failure or (self.client and len(self.client.frames) >= count), 180)
        if self.failure:
            raise self.failure
        return self.frames

    @property
    def frames(self) -> int:
        return len(self.client.frames) if self.client else 0

    def stop(self) -> None:
        self.leave.set()
        self.join(60)

    def closed_with(self) -> str:
        """How the session was ended by the other side."""
        self.join(60)
        assert self.client and self.client.closed, "the session goes on"
        code, reason = self.client.closed
        return f"{code} {reason}".strip()
