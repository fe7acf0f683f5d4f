"""A measured player: plays over the gateway's WebSocket as a browser would and writes down what it got."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from terrarium.store.play_protocol import SUBPROTOCOL, Frame, Input, pack_input, unpack_frame

HEARTBEAT_S = 0.1
CHANGE_S = (0.2, 0.5)  # between changes of what is held; random, so that they fall anywhere between two ticks
W, A, D, JUMP, SPRINT = 1, 2, 8, 16, 32
HELD = (W, W | A, W | D, W | JUMP, W | SPRINT, 0)


class BenchFailed(Exception):
    """The session could not be played; the message is the server's."""


@dataclass
class Player:
    """`frames`: (time received, frame) since `measure`. `answers`: of each input change the milliseconds to the frame
    that answers it, those since the newest input that this frame answers was sent, and the frame."""

    ws: ClientConnection
    keys: int = W
    yaw_deg: float = 2.0  # turned with each heartbeat
    seq: int = 0
    newest: Frame | None = None
    sent: dict[int, float] = field(default_factory=dict)  # changes still unanswered
    measuring: bool = False
    frames: list[tuple[float, Frame]] = field(default_factory=list)
    answers: list[tuple[float, float, Frame]] = field(default_factory=list)
    dropped_before: int = 0
    hello: dict[str, Any] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None  # in which it plays

    def measure(self) -> None:
        self.sent.clear()
        self.dropped_before = self.newest.dropped if self.newest else 0
        self.measuring = True

    @property
    def dropped(self) -> int:
        return (self.newest.dropped if self.newest else 0) - self.dropped_before

    async def play(self) -> None:
        """Until cancelled. BenchFailed when the server ends it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive())
            tasks.create_task(self._heartbeat())
            tasks.create_task(self._change())

    async def _receive(self) -> None:
        reason = "the connection was lost"
        try:
            while True:
                message = await self.ws.recv()
                if isinstance(message, bytes):
                    await self._see(unpack_frame(message))
                    continue
                text = json.loads(message)
                if text["type"] == "error":
                    reason = f"{text['code']}: {text['message']}"
                elif text["type"] == "hello":
                    self.hello = text
        except ConnectionClosed as e:
            raise BenchFailed(reason) from e

    async def _see(self, frame: Frame) -> None:
        now = time.perf_counter()
        self.newest = frame
        answered = [seq for seq in self.sent if seq <= frame.action_seq]
        latencies = [(now - self.sent.pop(seq)) * 1e3 for seq in answered]
        if self.measuring:
            self.frames.append((now, frame))
            self.answers += [(ms, now * 1e3 - frame.client_ms, frame) for ms in latencies]
        await self._send()

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._send(self.yaw_deg)

    async def _change(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*CHANGE_S))
            self.keys = random.choice([keys for keys in HELD if keys != self.keys])
            self.yaw_deg = random.choice((-2.0, 0.0, 2.0))
            self.sent[self.seq + 1] = time.perf_counter()
            await self._send()

    async def _send(self, yaw_deg: float = 0.0) -> None:
        self.seq += 1
        seen = self.newest.seq if self.newest else 0
        now_ms = time.perf_counter() * 1e3
        with suppress(ConnectionClosed):  # the receiver says why
            await self.ws.send(pack_input(Input(self.keys, yaw_deg, 0.0, self.seq, seen, now_ms)))


async def join(http: httpx.AsyncClient, checkpoint: str, seed: int, fps: float) -> Player:
    """A new session at the gateway of `http`, asked to run at `fps`."""
    answer = await http.post("/v1/play/sessions", json={"checkpoint": checkpoint, "seed": seed})
    if answer.status_code != 201:
        raise BenchFailed(f"POST /v1/play/sessions: {answer.status_code} {answer.text}")
    base = urlsplit(str(http.base_url))
    session = answer.json()
    url = f"{'wss' if base.scheme == 'https' else 'ws'}://{base.netloc}{session['url']}"
    protocols = [Subprotocol(SUBPROTOCOL), Subprotocol(session["ticket"])]
    ws = await connect(url, subprotocols=protocols, compression=None, max_queue=64)
    with suppress(ConnectionClosed):
        await ws.send(json.dumps({"type": "settings", "fps": fps}))
    return Player(ws)


@asynccontextmanager
async def playing(url: str, players: int, checkpoint: str, fps: float) -> AsyncIterator[list[Player]]:
    """So many players, each with a first frame, who play until the block ends."""
    async with httpx.AsyncClient(base_url=url, timeout=30.0) as http:
        everybody = [await join(http, checkpoint, seed, fps) for seed in range(players)]
        for player in everybody:
            player.task = asyncio.create_task(player.play())
        try:
            async with asyncio.timeout(60.0):
                while not all(player.newest for player in everybody):
                    check(everybody)
                    await asyncio.sleep(0.05)
            yield everybody
        finally:
            tasks = [player.task for player in everybody if player.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(player.ws.close() for player in everybody))


async def play_all(
    url: str, players: int, seconds: float, fps: float, checkpoint: str, warm_up_s: float
) -> list[Player]:
    """Let `players` play at once; what each measured in `seconds` after the warm-up."""
    async with playing(url, players, checkpoint, fps) as everybody:
        await asyncio.sleep(warm_up_s)
        for player in everybody:
            player.measure()
        await asyncio.sleep(seconds)
        for player in everybody:
            player.measuring = False
        check(everybody)
    return everybody


def check(players: list[Player]) -> None:
    """BenchFailed where one of them does not play any more."""
    for player in players:
        failure = player.task.exception() if player.task and player.task.done() else None
        if isinstance(failure, BaseExceptionGroup):
            raise failure.exceptions[0]
        if failure:
            raise failure
