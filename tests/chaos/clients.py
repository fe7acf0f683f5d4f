"""People at work while things die: they submit and submit again, watch, cancel, release, and play.

A client knows nothing of faults. It does what the documentation tells it to: the same Idempotency-Key after an error,
Last-Event-ID after a broken stream, another session after one that ended.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from tests.chaos.invariants import ENDED
from tests.chaos.record import Told
from tests.play_client import PlayClient

LATER = (409, 429, 500, 502, 503)  # try again; 409: the disk is full
PATIENCE_S = 20.0  # with a server that says nothing
PAUSE_S = 0.4
CUSTOMERS = 10


class Clients(threading.Thread):
    """Customers and a player, all on an event loop of their own, until `close`."""

    def __init__(self, url: str, key: str, told: Told, seed: int, work: list[tuple[float, dict[str, Any]]]) -> None:
        super().__init__(daemon=True, name="clients")
        self.url, self.told, self.seed, self.work = url, told, seed, work
        self.headers = {"Authorization": f"Bearer {key}"}
        self.closing = threading.Event()
        self.unfinished: dict[str, str] = {}  # {customer: what he waits for}
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as e:
            self.failure = e
            raise

    async def _live(self) -> None:
        async with httpx.AsyncClient(
            base_url=f"{self.url}/v1", headers=self.headers, timeout=httpx.Timeout(PATIENCE_S, pool=None)
        ) as http:
            customers: list[Coroutine[Any, Any, None]] = [Customer(self, http, n).live() for n in range(CUSTOMERS)]
            await asyncio.gather(*customers, self._play(http))

    async def _play(self, http: httpx.AsyncClient) -> None:
        rng = random.Random(f"{self.seed} player")
        while not self.closing.is_set():
            try:
                self.told.frames += await play(self.url, http, rng.randrange(1000), rng.uniform(3.0, 10.0))
            except (httpx.HTTPError, WebSocketException, OSError, AssertionError, TimeoutError):
                await asyncio.sleep(1.0)
            await asyncio.sleep(rng.uniform(0.5, 3.0))


class Customer:
    """One job after the other, each watched to its end."""

    def __init__(self, clients: Clients, http: httpx.AsyncClient, number: int) -> None:
        self.clients, self.told, self.http, self.name = clients, clients.told, http, f"customer {number}"
        self.rng = random.Random(f"{clients.seed} {number}")
        self.orders = 0

    async def live(self) -> None:
        while not self.clients.closing.is_set():
            self.orders += 1
            await self.order(f"{self.clients.seed}/{self.name}/{self.orders}")
        self.clients.unfinished.pop(self.name, None)

    async def order(self, key: str) -> None:
        config = self.rng.choices([c for _, c in self.clients.work], [w for w, _ in self.clients.work])[0]
        self.clients.unfinished[self.name] = f"{key} to be accepted"
        id = await self.submit(key, config)
        if id is None:
            return
        self.clients.unfinished[self.name] = f"the end of {id}"
        cancelling = None
        if self.rng.random() < 0.12:
            cancelling = asyncio.create_task(self.cancel(id, self.rng.uniform(0.0, 6.0)))
        if self.rng.random() < 0.2:
            await self.submit(key, config)  # somebody pressed the button twice
        await watch(self.http, id, self.told)
        if cancelling is not None:
            await cancelling

    async def submit(self, key: str, config: dict[str, Any]) -> str | None:
        """The job's id: the same key again until there is an answer."""
        while True:
            answer = await ask(self.http, "POST", "/jobs", json=config, headers={"Idempotency-Key": key})
            if answer is not None and answer.status_code in (200, 201):
                self.told.accepted[key].add(answer.json()["id"])
                return str(answer.json()["id"])
            if answer is not None and answer.status_code not in LATER:
                self.told.refusals.append(f"{key}: {answer.status_code} {answer.text[:300]}")
                return None
            await asyncio.sleep(PAUSE_S)

    async def cancel(self, id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.told.cancels.add(id)  # before: an answer may be lost on its way
        while True:
            answer = await ask(self.http, "POST", f"/jobs/{id}/cancel")
            if answer is not None and answer.status_code == 202:
                return
            await asyncio.sleep(PAUSE_S)


async def watch(http: httpx.AsyncClient, id: str, told: Told) -> str:
    """Its events to the end -> the last state. A job that its losses have quarantined is released."""
    state, seen = "", told.watched[id]
    while state not in ENDED:
        try:
            last = {"Last-Event-ID": str(seen[-1])} if seen else {}
            async with http.stream("GET", f"/jobs/{id}/events", headers=last) as response:
                async for number, type, data in _events(response):
                    seen.append(number)
                    state = data["state"] if type == "state" else state
        except (httpx.HTTPError, httpx.StreamError):
            pass
        if state == "quarantined":
            await ask(http, "POST", f"/jobs/{id}/release")
        if state not in ENDED:
            await asyncio.sleep(PAUSE_S)
    return state


async def _events(response: httpx.Response) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
    """(number, type, data); none in an answer that is an error. Fields come in any order, a blank line ends them."""
    if response.is_error:
        return
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
            continue
        if "data" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
        fields = {}


async def ask(http: httpx.AsyncClient, method: str, path: str, **options: Any) -> httpx.Response | None:
    try:
        return await http.request(method, path, **options)
    except httpx.HTTPError:
        return None


async def play(url: str, http: httpx.AsyncClient, seed: int, for_s: float) -> int:
    """Plays the model that comes with the project -> frames seen."""
    session = (await http.post("/play/sessions", json={"seed": seed})).raise_for_status().json()
    client = await PlayClient.open(url.replace("http", "ws", 1) + session["url"], ticket=session["ticket"])
    try:
        await client.input("w", hold=True)
        await asyncio.sleep(for_s)
        return len(client.frames)
    finally:
        client.reader.cancel()
        await asyncio.wait_for(client.ws.close(), 10.0)
