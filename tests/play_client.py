"""A player's side of live play for tests: reads all the time, sends what it is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed

from terrarium.store.play_protocol import SUBPROTOCOL, Frame, Input, Open, pack_input, unpack_frame
from terrarium.workers.player import Player
from terrarium.worlds.blocks.actions import KEYS


class PlayClient:
    """`acks`: answer every frame with an input at once, as a browser does."""

    def __init__(self, ws: ClientConnection, acks: bool = True) -> None:
        self.ws, self.acks = ws, acks
        self.frames: list[Frame] = []
        self.texts: list[dict[str, Any]] = []
        self.keys = self.seq = 0
        self.closed: tuple[int, str] | None = None
        self.reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, acks: bool = True, ticket: str = "", **headers: str) -> PlayClient:
        if url.startswith("unix://"):
            return cls(await unix_connect(url.removeprefix("unix://"), "ws://player/"), acks)
        protocols: Any = [SUBPROTOCOL, ticket] if ticket else None
        return cls(await connect(url, additional_headers=headers, subprotocols=protocols), acks)

    async def _read(self) -> None:
        try:
            while True:
                message = await self.ws.recv()
                if isinstance(message, str):
                    self.texts.append(json.loads(message))
                    continue
                self.frames.append(unpack_frame(message))
                if self.acks:
                    await self.input()
        except ConnectionClosed as e:
            self.closed = (e.rcvd.code, e.rcvd.reason) if e.rcvd else (1006, "")

    async def say(self, type: str, **values: Any) -> None:
        await self.ws.send(json.dumps({"type": type, **values}))

    async def input(self, *keys: str, yaw_deg: float = 0.0, hold: bool = False) -> int:
        """Send these keys; with `hold`, the acknowledgements go on naming them."""
        mask = sum(1 << KEYS.index(key) for key in keys)
        if hold:
            self.keys = mask
        self.seq += 1
        seen = self.frames[-1].seq if self.frames else 0
        await self.ws.send(pack_input(Input(mask or self.keys, yaw_deg, 0.0, self.seq, seen, time.monotonic() * 1e3)))
        return self.seq

    async def text(self, type: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """The next text of this type; earlier ones are skipped."""
        await until(lambda: any(t["type"] == type for t in self.texts), timeout_s)
        at = next(i for i, t in enumerate(self.texts) if t["type"] == type)
        found = self.texts[at]
        del self.texts[: at + 1]
        return found

    async def more_frames(self, count: int, timeout_s: float = 30.0) -> list[Frame]:
        start = len(self.frames)
        await until(lambda: len(self.frames) >= start + count, timeout_s)
        return self.frames[start : start + count]

    def accounted(self) -> bool:
        """Was every frame received, or counted as dropped?"""
        return all(frame.seq == i + 1 + frame.dropped for i, frame in enumerate(self.frames))

    async def closing(self, timeout_s: float = 30.0) -> tuple[int, str]:
        await until(lambda: self.closed is not None, timeout_s)
        assert self.closed
        return self.closed

    async def close(self) -> None:
        await self.ws.close()
        await self.reader


async def until(condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


class Table:
    """A player to sit down at."""

    def __init__(self, player: Player, url: str) -> None:
        self.player, self.url = player, url

    async def join(
        self, checkpoint: str = "shipped", seed: int = 1, acks: bool = True, world: str | None = None, **pace: Any
    ) -> PlayClient:
        client = await PlayClient.open(self.url, acks)
        opening = Open(session=f"s{seed}", checkpoint=checkpoint, seed=seed, world=world)
        await client.ws.send(opening.model_dump_json())
        if pace:
            await client.say("settings", **pace)
            await client.text("settings")
        return client
