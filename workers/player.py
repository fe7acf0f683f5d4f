"""The player: live sessions behind one WebSocket each, all players of a model in one batch.

    python -m terrarium.workers.player     # on TERRARIUM_PLAYER_URL, else on a unix socket in the data directory

A gateway opens a socket for each session and sends `open`; from then on both follow store/play_protocol.py.
Inputs and commands are read here, on the event loop; frames are made by a thread a model (workers/ticker.py).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvloop
from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from terrarium.store import logs
from terrarium.store import play_protocol as protocol
from terrarium.store.places import SHIPPED
from terrarium.store.play_protocol import MAX_SEED, Command, Open, Reset, Settings
from terrarium.store.settings import settings
from terrarium.store.sockets import player_url
from terrarium.workers.freezer import Freezer
from terrarium.workers.models import BadCheckpoint, Models, load_checkpoint
from terrarium.workers.play_log import Plays
from terrarium.workers.sessions import Seat, Session
from terrarium.workers.threads import Threads, keep_memory, spin_briefly
from terrarium.workers.ticker import Ticker
from terrarium.workers.waiting import MOST_WAITING, LineFull, Places, Visitor
from terrarium.worlds.blocks.actions import MAX_PITCH_DEG, MAX_YAW_DEG
from terrarium.worlds.played_model import PlayedModel

log = logging.getLogger("terrarium.player")
IDLE_S = 300.0
OPEN_TIMEOUT_S = 10.0
MAX_BAD_MESSAGES = 20
MOST_THREADS = 4  # of a model's step
MOVE_GAP_S = 0.25  # between resets of a session: each costs a burn-in, beside everybody's ticks


class Refused(Exception):
    """Ends a session: an error text, then a close."""

    def __init__(self, code: str, message: str, close: int) -> None:
        super().__init__(message)
        self.code, self.message, self.close = code, message, close


class Player:
    """`load_model(checkpoint id)` returns a model or raises; tests hand in their own."""

    def __init__(
        self,
        load_model: Callable[[str], PlayedModel] = load_checkpoint,
        max_players: int | None = None,
        idle_s: float = IDLE_S,
        unload_after_s: float = 60.0,
        make_threads: Callable[[], Threads] = Threads,
        plays: Plays | None = None,
        freezer: Freezer | None = None,
    ) -> None:
        self.max_players = settings().max_players if max_players is None else max_players
        self.idle_s = idle_s
        self.models = Models(load_model, self._model_failed, unload_after_s, make_threads, freezer)
        self.plays = plays or Plays(settings().plays_dir, settings().max_plays_gb * 1e9)
        self.sessions: set[Session] = set()
        self.places = Places(self.max_players)

    async def preload(self, checkpoint: str = SHIPPED) -> None:
        """Load and keep the checkpoint that most players open, so that their first frame comes at once."""
        self.models.kept.add(checkpoint)
        try:
            self.models.release(await self.models.acquire(checkpoint))
        except BadCheckpoint as e:
            log.warning("nothing preloaded: %s", e)

    def close(self) -> None:
        self.models.close()
        self.plays.close()

    async def handle(self, ws: ServerConnection) -> None:
        """One session, from its `open` to its close."""
        try:
            await Connection(self, ws).run()
        except Refused as e:
            await _end(ws, e)
        except ConnectionClosed:
            pass

    def _model_failed(self, seats: list[Seat], reason: str) -> None:
        for seat in seats:
            if seat.session.seat is seat:
                seat.session.fail("model_failed", f"the model stopped: {reason}")


class Connection:
    """A session and its socket. Frames go out from one task, all else from the reader and the mover."""

    def __init__(self, player: Player, ws: ServerConnection) -> None:
        self.player, self.ws = player, ws
        self.loop = asyncio.get_running_loop()
        self.session = Session("", self.loop)
        self.bad_messages = 0
        self.active_at = self.loop.time()
        self.wanted = Open(session="", checkpoint=SHIPPED, seed=0)  # where the newest command wants to be
        self.ticker: Ticker | None = None  # of the session's seat
        self.announced = ""  # checkpoint of the newest hello
        self.mover: asyncio.Task[None] | None = None
        self.moved_at = 0.0

    async def run(self) -> None:
        self.wanted = await self._first_message()
        self.session.id = self.wanted.session
        try:
            visitor = self.player.places.arrive(self.wanted.key)
        except LineFull:
            message = f"all {self.player.max_players} places are taken, and {MOST_WAITING} wait for one"
            raise Refused("player_full", message, protocol.CLOSE_LATER) from None
        try:
            await self._wait_in_line(visitor)
            await self._play()
        finally:
            self.player.places.leave(visitor)

    async def _wait_in_line(self, visitor: Visitor) -> None:
        """Until there is a place. The client is told its position; what it sends meanwhile is dropped, and its leaving
        raises ConnectionClosed."""
        if visitor.position == 0:
            return
        listening = asyncio.ensure_future(self._ignore())
        try:
            while visitor.position > 0:
                visitor.moved.clear()
                await self._say("queue", position=visitor.position)
                moved = asyncio.ensure_future(visitor.moved.wait())
                await asyncio.wait((moved, listening), return_when=asyncio.FIRST_COMPLETED)
                moved.cancel()
                if listening.done():
                    listening.result()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        self.active_at = self.loop.time()

    async def _ignore(self) -> None:
        while True:
            await self.ws.recv()

    async def _play(self) -> None:
        session, player = self.session, self.player
        player.sessions.add(session)
        tasks: list[asyncio.Future[Any]] = [session.failed]
        try:
            await self._move(self.wanted)
            tasks += [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._send_frames())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if failure := task.result():
                    code, message = failure
                    raise Refused(code, message, protocol.CLOSE_FAILED)
        except BadCheckpoint as e:
            raise Refused("bad_checkpoint", str(e), protocol.CLOSE_CHECKPOINT) from e
        finally:
            player.sessions.discard(session)
            if self.mover:
                tasks.append(self.mover)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._leave()

    async def _first_message(self) -> Open:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                text = await self.ws.recv()
            return protocol.parse_open(text if isinstance(text, str) else text.decode())
        except (TimeoutError, ValueError) as e:
            reason = str(e) or f"no open within {OPEN_TIMEOUT_S:.0f} s"
            raise Refused("bad_open", reason, protocol.CLOSE_BAD) from e

    # Incoming.

    async def _read(self) -> None:
        while True:
            try:
                async with asyncio.timeout_at(self.active_at + self.player.idle_s):
                    message = await self.ws.recv()
            except TimeoutError:
                reason = f"nothing was pressed for {self.player.idle_s:.0f} s"
                raise Refused("idle", reason, protocol.CLOSE_IDLE) from None
            try:
                if isinstance(message, bytes):
                    self._input(message)
                else:
                    await self._command(protocol.parse_command(message))
            except ValueError as e:
                await self._complain(str(e))

    def _input(self, data: bytes) -> None:
        i = protocol.unpack_input(data)
        now = time.monotonic()  # the tickers' clock; a loop's own may stand still while it works through its messages
        self.session.put(i, now)
        if i.keys or i.yaw_deg or i.pitch_deg:
            self.active_at = self.loop.time()

    async def _complain(self, reason: str) -> None:
        self.bad_messages += 1
        if self.bad_messages > MAX_BAD_MESSAGES:
            raise Refused("bad_message", f"too many bad messages; the last: {reason}", protocol.CLOSE_BAD)
        await self._say("error", code="bad_message", message=reason)

    async def _command(self, command: Command) -> None:
        self.active_at = self.loop.time()
        if isinstance(command, Reset):
            seed = random.randrange(MAX_SEED) if command.seed is None else command.seed
            self._ask(self.wanted.model_copy(update={"seed": seed}))
            return
        refusal = await asyncio.to_thread(self.player.plays.refusal) if command.record else None
        self._apply(command.model_copy(update={"record": False}) if refusal else command)
        if refusal:
            await self._say("error", code="not_recorded", message=refusal)
        await self._say("settings", **self._in_force())
        if command.checkpoint and command.checkpoint != self.wanted.checkpoint:
            self._ask(self.wanted.model_copy(update={"checkpoint": command.checkpoint}))

    def _apply(self, asked: Settings) -> None:
        session = self.session
        with session.lock:
            if asked.temperature is not None:
                session.temperature = asked.temperature
            if asked.guidance is not None:
                session.guidance = asked.guidance
            if asked.fps is not None:
                session.pace = asked.fps
            if asked.paused is not None and asked.paused != session.paused:
                session.paused = asked.paused
                session.still = session.still or asked.paused
                session.controls.forget()
            if asked.simulator is not None:
                session.simulator = asked.simulator
                session.still = session.still or session.paused
            if asked.record is not None:
                session.plays = self.player.plays if asked.record else None
        assert self.ticker
        self.ticker.wake()

    def _in_force(self) -> dict[str, Any]:
        s = self.session
        assert s.seat
        return {
            "temperature": s.seat.temperature,
            "guidance": s.guidance,
            "simulator": s.simulator,
            "fps": s.seat.fps,
            "paused": s.paused,
            "record": s.plays is not None,
            "checkpoint": s.seat.checkpoint,
        }

    # Moving to another start: a reset, another checkpoint.

    def _ask(self, wanted: Open) -> None:
        """Start moving there; a move under way is given up for it."""
        self.wanted = wanted
        if self.mover:
            self.mover.cancel()
        self.mover = asyncio.create_task(self._move_or_stay(wanted))

    async def _move_or_stay(self, wanted: Open) -> None:
        try:
            await asyncio.sleep(self.moved_at + MOVE_GAP_S - self.loop.time())
            self.moved_at = self.loop.time()
            await self._move(wanted)
        except BadCheckpoint as e:
            assert self.session.seat
            at = self.session.seat
            self.wanted = wanted.model_copy(update={"checkpoint": at.checkpoint, "seed": at.seed})
            await self._say("error", code="bad_checkpoint", message=str(e))
        except Refused as e:
            self.session.fail(e.code, e.message)
        except ConnectionClosed:
            pass

    async def _move(self, to: Open) -> None:
        """Make a seat ready while the old one plays on, change seats, tell the client, let it play."""
        ticker = await self.player.models.acquire(to.checkpoint)
        try:
            seat = await self.player.models.seat(self.session, ticker, to.seed, to.world)
        except BaseException as e:
            self.player.models.release(ticker)
            if isinstance(e, Exception):
                raise Refused("model_failed", f"the model did not start: {e}", protocol.CLOSE_FAILED) from e
            raise
        again = self.session.seat is not None
        self._leave()
        self.session.sit(seat)
        self.ticker = ticker
        if ticker.checkpoint != self.announced:
            self.announced = ticker.checkpoint
            await self._hello(seat)
        if again:
            await self._say("reset", seed=to.seed)
        if not ticker.join(seat):
            raise Refused("model_failed", "the model stopped", protocol.CLOSE_FAILED)

    def _leave(self) -> None:
        if (seat := self.session.seat) and (ticker := self.ticker):
            self.session.seat = None
            ticker.leave(seat)
            if seat.log:
                seat.log.close()
            self.player.models.release(ticker)

    # Outgoing.

    async def _send_frames(self) -> None:
        session = self.session
        while True:
            await session.ready.wait()
            session.ready.clear()
            if frame := session.slot.take():
                await self.ws.send(frame)
            while session.news:
                code, message = session.news.pop(0)
                await self._say("error", code=code, message=message)
                await self._say("settings", **self._in_force())

    async def _hello(self, seat: Seat) -> None:
        model = seat.model
        height, width = model.frame_size
        await self._say(
            "hello",
            session=self.session.id,
            checkpoint=seat.checkpoint,
            width=width,
            height=height,
            fps=model.fps,
            has_simulator=seat.world is not None,
            action_names=model.layout.names,
            keys=model.layout.keys,
            has_camera=model.layout.has_camera,
            max_yaw_deg=MAX_YAW_DEG,
            max_pitch_deg=MAX_PITCH_DEG,
            seed=seat.seed,
            temperature=seat.temperature,
        )

    async def _say(self, type: str, **values: Any) -> None:
        await self.ws.send(json.dumps({"type": type, **values}))


async def _end(ws: ServerConnection, e: Refused) -> None:
    try:
        await ws.send(json.dumps({"type": "error", "code": e.code, "message": e.message}))
        await ws.close(e.close, e.code)
    except ConnectionClosed:
        pass


async def listen(player: Player, url: str) -> Server:
    """A server on `ws://host:port` or `unix:///path`. A socket left by a dead player is replaced."""
    options: dict[str, Any] = {"compression": None, "max_size": protocol.MAX_MESSAGE, "process_request": _health}
    if not url.startswith("unix://"):
        host, _, port = url.removeprefix("ws://").rstrip("/").rpartition(":")
        return await serve(player.handle, host, int(port), **options)
    path = Path(url.removeprefix("unix://"))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        if _answers(path):
            raise ValueError(f"another player listens on {path}")
        path.unlink()
    umask = os.umask(0o177)  # a socket of this user alone
    try:
        return await unix_serve(player.handle, str(path), **options)
    finally:
        os.umask(umask)


def _health(connection: ServerConnection, request: Request) -> Response | None:
    """GET /health, answered as long as the event loop runs."""
    return connection.respond(HTTPStatus.OK, "ok\n") if request.path == "/health" else None


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


async def play_until_stopped(url: str) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    freezer = Freezer(settings().data_dir / "compiled") if settings().compile_play else None
    player = Player(make_threads=threads_of_a_ticker, freezer=freezer)
    await _first(player.preload(), stop)
    if not stop.is_set():
        server = await listen(player, url)
        log.info("listening on %s", url)
        await stop.wait()
        server.close(code=protocol.CLOSE_GOING_AWAY, reason="the player is going away")
        await server.wait_closed()
        if url.startswith("unix://"):
            Path(url.removeprefix("unix://")).unlink(missing_ok=True)
    player.close()


async def _first(work: Any, stop: asyncio.Event) -> None:
    """Wait for `work`, or for `stop` if that comes first."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def threads_of_a_ticker() -> Threads:
    """TERRARIUM_TORCH_THREADS, or as many as help."""
    import torch

    if settings().torch_threads:
        return Threads()
    return Threads(min(MOST_THREADS, len(os.sched_getaffinity(0))), torch.set_num_threads)


def main() -> None:
    logs.begin(text="%(name)s: %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    spin_briefly()
    keep_memory()
    import torch  # after the environment is set, and before any thread of ours

    torch.set_num_threads(settings().torch_threads or 1)
    try:
        uvloop.run(play_until_stopped(player_url()))
    except ValueError as e:
        sys.exit(f"player: {e}")


if __name__ == "__main__":
    main()
