"""Bytes between one browser and the player, with back-pressure.

Frames: one slot, which the newest frame replaces, and one credit. A frame goes out when the client has drawn
the one before (the `ack` of its inputs), or after a second, so that a lost ack heals. Texts are not dropped;
when a client does not read them, the relay stops reading the player's socket. So a slow client costs a slot
and a few texts of memory, and nobody else's time.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextlib import suppress
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from terrarium.api.rate import Rate
from terrarium.store import play_protocol as protocol
from terrarium.store.play_protocol import FrameSlot, Open
from terrarium.store.settings import settings
from terrarium.store.sockets import player_url

log = logging.getLogger("terrarium.gateway")
SESSIONS = Gauge("terrarium_play_sessions", "Live sessions that this gateway relays, those in line too")
WAITING = Gauge("terrarium_play_sessions_waiting", "Of those: in line, or without a first frame yet")
LATENCY = Histogram(
    "terrarium_play_latency_seconds",
    "From an input's arrival at the player to its encoded frame, by the player's clock",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0),
)
FRAMES = Counter("terrarium_play_frames", "Frames sent to players")
DROPPED = Counter("terrarium_play_frames_dropped", "Frames replaced by a newer one before they were sent")
ACK_HEALS_S = 1.0
MAX_RATE = 200  # messages a second from a client; more are dropped
MAX_OVER_RATE = 2000  # dropped messages that end a session
MAX_WAITING_TEXTS = 64
FLUSH_S = 2.0  # for the last texts of a session that the player ended


class Ended(Exception):
    """Ends the relay; the client is told `error` and closed with `close`."""

    def __init__(self, code: str, message: str, close: int) -> None:
        super().__init__(message)
        self.code, self.message, self.close = code, message, close


async def relay(ws: WebSocket, opening: Open) -> None:
    """From an accepted WebSocket to its close; when either side closes, both do."""
    try:
        try:
            player = await _connect(player_url())
        except (OSError, WebSocketException, TimeoutError) as e:
            log.warning("player at %s: %s", player_url(), e)
            raise Ended("player_unavailable", "no player answers; try again", protocol.CLOSE_LATER) from e
        async with player:
            await player.send(opening.model_dump_json())
            with SESSIONS.track_inprogress():
                await Relay(ws, player).run()
    except Ended as e:
        await _tell(ws, e)
    except ConnectionClosed as e:
        await _close_like(ws, e)
    except WebSocketDisconnect:
        pass


async def _connect(url: str) -> ClientConnection:
    options: dict[str, Any] = {"compression": None, "open_timeout": 5.0, "close_timeout": 1.0}
    if url.startswith("unix://"):
        return await unix_connect(url.removeprefix("unix://"), "ws://player/", **options)
    return await connect(url, **options)


class Relay:
    def __init__(self, ws: WebSocket, player: ClientConnection) -> None:
        self.ws, self.player = ws, player
        self.slot = FrameSlot()
        self.texts: deque[str] = deque()
        self.acked = 0
        self.news = asyncio.Event()  # for the sender: a frame, a text or an ack
        self.room = asyncio.Event()  # for the player's reader: texts have gone out
        self.begun = asyncio.Event()  # there was a place: waiting in line does not count as play

    async def run(self) -> None:
        WAITING.inc()
        try:
            await self._run()
        finally:
            WAITING.dec(not self.begun.is_set())

    async def _run(self) -> None:
        parts = [self._from_client(), self._from_player(), self._to_client()]
        if settings().session_minutes:
            parts.append(self._end_in_time(settings().session_minutes))
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_in_time(self, minutes: float) -> None:
        await self.begun.wait()
        await asyncio.sleep(minutes * 60)
        message = f"a session lasts {minutes:g} minutes here (TERRARIUM_SESSION_MINUTES)"
        raise Ended("session_over", message, protocol.CLOSE_OVER)

    async def _from_client(self) -> None:
        rate = Rate(MAX_RATE)
        over = 0
        while True:
            message = await self.ws.receive()
            if message["type"] == "websocket.disconnect":
                return
            data: bytes | str = message.get("bytes") or message.get("text") or ""
            if isinstance(data, bytes):
                self._see_ack(data)
            if rate.allows(asyncio.get_running_loop().time()):
                await self.player.send(data)
                continue
            over += 1
            if over > MAX_OVER_RATE:
                raise Ended("too_many", f"more than {MAX_RATE} messages a second", protocol.CLOSE_BAD)

    def _see_ack(self, data: bytes) -> None:
        try:
            self.acked = max(self.acked, protocol.unpack_input(data).ack)
        except ValueError:
            return  # the player tells the client what is wrong with it
        self.news.set()

    async def _from_player(self) -> None:
        """Ends with ConnectionClosed, when the texts before it have gone out (its error is one of them)."""
        try:
            while True:
                message = await self.player.recv()
                if isinstance(message, bytes):
                    WAITING.dec(not self.begun.is_set())
                    self.begun.set()
                    if (latency_s := protocol.frame_latency_s(message)) is not None:
                        LATENCY.observe(latency_s)
                    DROPPED.inc(self.slot.frame is not None)
                    self.slot.put(message)
                else:
                    self.texts.append(message)
                self.news.set()
                await self._texts_at_most(MAX_WAITING_TEXTS)
        except ConnectionClosed:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._texts_at_most(0)
            raise

    async def _texts_at_most(self, count: int) -> None:
        while len(self.texts) > count:
            self.room.clear()
            await self.room.wait()

    async def _to_client(self) -> None:
        sent, sent_at = 0, 0.0
        loop = asyncio.get_running_loop()
        while True:
            self.news.clear()
            while self.texts:
                await self.ws.send_text(self.texts[0])
                self.texts.popleft()
                self.room.set()
            credit_in = 0.0 if self.acked >= sent else sent_at + ACK_HEALS_S - loop.time()
            if self.slot.frame is not None and credit_in <= 0:
                frame = self.slot.take()
                assert frame is not None
                sent, sent_at = protocol.frame_seq(frame), loop.time()
                await self.ws.send_bytes(frame)
                FRAMES.inc()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(credit_in if self.slot.frame is not None else None):
                    await self.news.wait()


async def _tell(ws: WebSocket, e: Ended) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):
        await ws.send_text(json.dumps({"type": "error", "code": e.code, "message": e.message}))
        await ws.close(e.close, e.code)


async def _close_like(ws: WebSocket, e: ConnectionClosed) -> None:
    """Pass the player's close on. One that broke, or that gave no code, was a failure."""
    close = e.rcvd
    with suppress(RuntimeError, WebSocketDisconnect):
        if close is None or close.code in (1005, 1006):
            await ws.close(protocol.CLOSE_FAILED, "the player went away")
        else:
            await ws.close(close.code, close.reason)
