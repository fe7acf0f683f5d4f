"""Real sockets through the gateway: browser's end, uvicorn, relay, and a player with a model that learned nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fake_model import FakeModel
from fastapi import FastAPI
from play_client import PlayClient, until
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from websockets.asyncio.server import ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from terrarium.api import errors, play
from terrarium.api.relay import Rate
from terrarium.api.server import MAX_UNREAD, OPTIONS, WebSockets
from terrarium.cli.bench import summary
from terrarium.cli.bench_player import BenchFailed, play_all
from terrarium.store.play_protocol import Frame, Open, pack_frame, parse_open
from terrarium.store.settings import settings
from terrarium.store.tables import Asset, PlaySession
from terrarium.workers.player import Player, listen


class House:
    """A running gateway; `http` is its client."""

    def __init__(self, server: uvicorn.Server, http: httpx.AsyncClient) -> None:
        self.server, self.http = server, http
        self.port = server.servers[0].sockets[0].getsockname()[1]

    async def ticket(self, **body: Any) -> dict[str, Any]:
        answer = await self.http.post("/v1/play/sessions", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def connect(self, ticket: dict[str, Any], acks: bool = True, **headers: str) -> PlayClient:
        url = f"ws://127.0.0.1:{self.port}{ticket['url']}"
        return await PlayClient.open(url, acks, ticket.get("ticket", ""), **headers)

    async def join(self, acks: bool = True, **body: Any) -> PlayClient:
        return await self.connect(await self.ticket(**body), acks)


@pytest.fixture
def house(
    db: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[House]]:
    db.merge(Asset(id="shipped", name="shipped", type="world-model", manifest={}, evaluation=None))  # there or not
    db.add(Asset(id="eye", name="eye", type="tokenizer", manifest={}, evaluation=None))
    db.commit()
    player_url = f"unix://{tmp_path}/player.sock"
    monkeypatch.setenv("TERRARIUM_PLAYER_URL", player_url)
    monkeypatch.setenv("TERRARIUM_ALLOWED_ORIGINS", '["https://friend.example"]')
    settings.cache_clear()

    @asynccontextmanager
    async def make(player: Any = "fake", **options: Any) -> AsyncIterator[House]:
        """`player`: "fake", a handler that plays the player's part, or None for no player at all."""
        server = uvicorn.Server(uvicorn.Config(_app(), port=0, log_level="info", lifespan="off", **OPTIONS))
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        mine = Player(lambda _: FakeModel(), **({"max_players": 16} | options))
        if player == "fake":
            behind = await listen(mine, player_url)
        elif player is not None:
            behind = await unix_serve(player, player_url.removeprefix("unix://"), compression=None)
        try:
            async with httpx.AsyncClient() as http:
                house = House(server, http)
                http.base_url = f"http://127.0.0.1:{house.port}"
                yield house
        finally:
            if player is not None:
                behind.close()
                await behind.wait_closed()
            mine.close()
            server.should_exit = True
            await serving
            Path(player_url.removeprefix("unix://")).unlink(missing_ok=True)

    yield make
    monkeypatch.undo()
    settings.cache_clear()


def _app() -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.include_router(play.router)
    return app


def test_sessions_are_checked(house: Any, db: Session) -> None:
    async def go() -> None:
        async with house(None) as h:
            made = await h.ticket(checkpoint="shipped", seed=7)
            assert made["url"] == f"/v1/play/{made['id']}"
            row = db.get_one(PlaySession, made["id"])
            assert row.seed == 7 and row.ticket_sha256 and row.ticket_sha256 != made["ticket"]
            await h.ticket()
            for body, status, code in [
                ({"checkpoint": "gone"}, 404, "checkpoint_not_found"),
                ({"checkpoint": "eye"}, 422, "invalid_input"),
            ]:
                answer = await h.http.post("/v1/play/sessions", json=body)
                assert (answer.status_code, answer.json()["code"]) == (status, code)
            for body in ({"seed": -1}, {"seed": 2**31}, {"speed": 1}, {"checkpoint": ""}, {"checkpoint": "\0"}):
                assert (await h.http.post("/v1/play/sessions", json=body)).status_code == 422

    asyncio.run(go())


def test_play_and_the_end_of_a_session(house: Any, db: Session) -> None:
    async def go() -> None:
        async with house() as h:
            ticket = await h.ticket(seed=40)
            client = await h.connect(ticket)
            hello = await client.text("hello")
            assert (hello["session"], hello["seed"]) == (ticket["id"], 40)
            await until(lambda: len(client.frames) >= 10)
            seq = await client.input("w")
            await until(lambda: client.frames[-1].action_seq >= seq)
            assert client.accounted()
            await client.say("reset", seed=3)
            assert (await client.text("reset"))["seed"] == 3
            await client.ws.send("{")
            assert (await client.text("error"))["code"] == "bad_message"
            await client.close()
            await until(lambda: db.scalar(_ended(ticket["id"])) is not None)

    asyncio.run(go())


def _ended(id: str) -> Any:
    return select(PlaySession.ended_at).where(PlaySession.id == id)


def test_ticket_opens_once(house: Any, db: Session) -> None:
    async def go() -> None:
        async with house() as h:
            ticket = await h.ticket()
            first = await h.connect(ticket)
            await first.text("hello")
            assert db.get_one(PlaySession, ticket["id"]).ticket_sha256 is None
            again = await h.connect(ticket)
            assert (await again.closing())[0] == 4401
            other = await h.ticket()
            swapped = await h.connect(other | {"ticket": ticket["ticket"]})
            assert (await swapped.closing())[0] == 4401
            for wrong in ({"url": other["url"]}, {"url": f"/v1/play/{uuid4()}", "ticket": "x"}):
                assert (await (await h.connect(wrong)).closing())[0] == 4401
            with pytest.raises(InvalidStatus):
                await h.connect({"url": "/v1/play/nonsense", "ticket": "x"})
            await first.close()

    asyncio.run(go())


def test_expired_ticket(house: Any, db: Session) -> None:
    async def go() -> None:
        async with house() as h:
            ticket = await h.ticket()
            db.execute(text("UPDATE play_sessions SET created_at = created_at - interval '31 seconds'"))
            db.commit()
            code, reason = await (await h.connect(ticket)).closing()
            assert code == 4401 and "30 s" in reason

    asyncio.run(go())


def test_origin(house: Any) -> None:
    async def go() -> None:
        async with house() as h:
            own = f"http://127.0.0.1:{h.port}"
            for origin in ("https://evil.example", "null", "http://127.0.0.1:1", f"ftp://127.0.0.1:{h.port}"):
                with pytest.raises(InvalidStatus, match="403"):
                    await h.connect(await h.ticket(), Origin=origin)
            for origin in (own, "https://friend.example"):
                client = await h.connect(await h.ticket(), Origin=origin)
                await client.text("hello")
                await client.close()

    asyncio.run(go())


def test_client_that_never_acknowledges_gets_a_frame_a_second(house: Any) -> None:
    async def go() -> None:
        async with house() as h:
            silent, live = await h.join(acks=False), await h.join()
            await until(lambda: silent.frames and live.frames)
            before, start = len(live.frames), time.monotonic()
            await asyncio.sleep(2.3)
            seconds = time.monotonic() - start
            assert len(silent.frames) <= 1 + seconds
            assert len(live.frames) - before >= 0.5 * 15 * seconds
            dropped = [f.dropped for f in silent.frames]
            assert dropped[-1] - dropped[0] >= 0.4 * 15 * (len(dropped) - 1)
            assert silent.accounted() and live.accounted()
            await silent.input("w")  # acknowledges: the credit is back
            count = len(silent.frames)
            await until(lambda: len(silent.frames) > count, 0.5)
            await asyncio.gather(silent.close(), live.close())

    asyncio.run(go())


def test_stalled_client_slows_nobody(house: Any) -> None:
    async def go() -> None:
        async with house() as h:
            stalled, live = await h.join(), await h.join()
            await until(lambda: stalled.frames and live.frames)
            stalled.ws.transport.pause_reading()
            before = len(live.frames)
            await asyncio.sleep(1.5)
            assert len(live.frames) - before >= 0.5 * 15 * 1.5
            stalled.ws.transport.abort()
            await live.close()

    asyncio.run(go())


def test_no_player(house: Any, db: Session) -> None:
    async def go() -> None:
        async with house(None) as h:
            ticket = await h.ticket()
            client = await h.connect(ticket)
            assert (await client.text("error"))["code"] == "player_unavailable"
            assert (await client.closing())[0] == 1013
            await until(lambda: db.scalar(_ended(ticket["id"])) is not None)

    asyncio.run(go())


def test_two_clients_for_one_place(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told its position, and begins when the first one's time is over."""

    async def go() -> None:
        async with house(max_players=1) as h:
            monkeypatch.setattr(settings(), "session_minutes", 1.5 / 60)
            first = await h.join()
            await first.more_frames(1)
            second, third = await h.join(), await h.join()
            assert (await second.text("queue"))["position"] == 1 and (await third.text("queue"))["position"] == 2
            assert (await first.text("error"))["code"] == "session_over"
            await second.text("hello")
            await second.more_frames(1)  # its time begins only now
            assert (await third.text("queue"))["position"] == 1
            await second.close()
            await third.text("hello")

    asyncio.run(go())


def test_a_session_ends_after_its_time(house: Any, db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with house() as h:
            monkeypatch.setattr(settings(), "session_minutes", 0.02)
            ticket = await h.ticket()
            client = await h.connect(ticket)
            assert "0.02 minutes" in (await client.text("error"))["message"]
            assert await client.closing() == (4409, "session_over")
            await until(lambda: db.scalar(_ended(ticket["id"])) is not None)

    asyncio.run(go())


def test_too_large_and_too_many(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.api.relay.MAX_RATE", 5)
    monkeypatch.setattr("terrarium.api.relay.MAX_OVER_RATE", 20)

    async def go() -> None:
        async with house() as h:
            for message in ("x" * 4097, b"x" * 4097, ["x" * 4096, "x"]):  # the last one in two fragments
                client = await h.join()
                await client.text("hello")
                await client.ws.send(message)
                assert (await client.closing())[0] == 1009
            flood = await h.join(acks=False)
            await flood.text("hello")
            with pytest.raises(ConnectionClosed):
                while True:
                    await flood.input("w")
                    await asyncio.sleep(0)  # a send that does not wait would let nobody else run
            assert (await flood.closing())[0] == 1008

    asyncio.run(go())


def test_a_long_message_is_refused_before_it_is_there(house: Any) -> None:
    """The head of a message of 15 MiB is answered: nobody waits for the rest of it."""

    async def go() -> None:
        async with house() as h:
            client = await h.join()
            await client.text("hello")
            transport = client.ws.transport
            transport.write(b"\x82\xff" + (15 * 2**20).to_bytes(8, "big") + bytes(4) + b"x" * 100)
            assert (await client.closing())[0] == 1009

    asyncio.run(go())


def test_pongs_do_not_pile_up_for_a_client_that_does_not_read(house: Any) -> None:
    async def go() -> None:
        async with house() as h:
            client = await h.join(acks=False)
            await client.text("hello")
            transport = client.ws.transport
            transport.pause_reading()
            pings = (b"\x89\xfd" + bytes(4) + b"x" * 125) * 500
            (ours,) = (c for c in h.server.server_state.connections if isinstance(c, WebSockets))
            for _ in range(200):
                if transport.is_closing():
                    break
                transport.write(pings)
                await asyncio.sleep(0.005)
                assert ours.transport.get_write_buffer_size() < 2 * MAX_UNREAD
            await until(lambda: ours.disconnected)

    asyncio.run(go())


def test_logs_hold_no_ticket(house: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async def go() -> None:
        async with house() as h:
            used, refused = await h.ticket(), await h.ticket()
            client = await h.connect(used)
            await client.text("hello")
            await client.close()
            with pytest.raises(InvalidStatus):
                await h.connect(refused, Origin="https://evil.example")
            log = capfd.readouterr().err
            assert used["id"] in log and refused["id"] in log
            assert used["ticket"] not in log and refused["ticket"] not in log

    asyncio.run(go())


def test_rate_allows_a_burst_and_then_its_rate() -> None:
    rate = Rate(10)
    assert [rate.allows(5.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [rate.allows(5.25) for _ in range(4)] == [True, True, False, False]


def test_texts_survive_back_pressure_and_the_players_end(house: Any) -> None:
    async def scripted(ws: ServerConnection) -> None:
        """Many texts and frames at once, then the end."""
        await ws.recv()
        for i in range(1, 301):
            await ws.send(f'{{"type": "note", "i": {i}}}')
            await ws.send(pack_frame(Frame(0, 1, i, 0, 0, 0, 0, 0, 0, 0, b"jpeg", b"")))
        await ws.close(1011, "enough")

    async def go() -> None:
        async with house(scripted) as h:
            client = await h.join(acks=False)
            assert await client.closing() == (1011, "enough")
            assert [t["i"] for t in client.texts] == list(range(1, 301))
            assert len(client.frames) <= 2

    asyncio.run(go())


def test_player_that_breaks_off(house: Any, db: Session) -> None:
    async def breaks(ws: ServerConnection) -> None:
        await ws.recv()
        ws.transport.abort()

    async def go() -> None:
        async with house(breaks) as h:
            ticket = await h.ticket()
            assert (await (await h.connect(ticket)).closing())[0] == 1011
            await until(lambda: db.scalar(_ended(ticket["id"])) is not None)

    asyncio.run(go())


def test_player_hears_open_and_that_the_client_left(house: Any) -> None:
    heard: list[Any] = []

    async def listener(ws: ServerConnection) -> None:
        try:
            while True:
                heard.append(await ws.recv())
        except ConnectionClosed:
            heard.append("closed")

    async def go() -> None:
        async with house(listener) as h:
            ticket = await h.ticket(seed=5)
            client = await h.connect(ticket)
            await client.input("w")
            await client.close()
            await until(lambda: heard[-1:] == ["closed"])
            opened = Open(session=ticket["id"], checkpoint="shipped", seed=5)
            assert parse_open(heard[0]) == opened and len(heard[1]) == 32

    asyncio.run(go())


def test_bench_measures_play(house: Any) -> None:
    async def go() -> None:
        async with house() as h:
            url = f"http://127.0.0.1:{h.port}"
            played = await play_all(url, 2, 1.5, fps=30.0, checkpoint="shipped", warm_up_s=0.3)
            result = summary(played, 1.5, 30.0)
            assert (result["players"], result["batch"], result["frame_size"]) == (2, 2, [16, 16])
            assert 5 < result["fps_min"] <= result["fps_p50"] < 35 and result["input_changes"] > 0
            assert 0 < result["latency_ms_p50"] <= result["latency_ms_p99"]
            assert all(result[f"of_it_{part}_ms"] > 0 for part in ("wait", "step", "encode", "relay"))
            with pytest.raises(BenchFailed, match="404"):
                await play_all(url, 1, 1.0, fps=30.0, checkpoint="gone", warm_up_s=0.0)
        async with house(None) as h:
            with pytest.raises(BenchFailed, match="player_unavailable"):
                await play_all(f"http://127.0.0.1:{h.port}", 1, 1.0, 30.0, "shipped", 0.0)

    asyncio.run(go())


def test_player_by_tcp(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with house(None) as h:
            player = Player(lambda _: FakeModel(), max_players=1)
            async with serve(player.handle, "127.0.0.1", 0, compression=None) as server:
                port = server.sockets[0].getsockname()[1]
                monkeypatch.setenv("TERRARIUM_PLAYER_URL", f"ws://127.0.0.1:{port}")
                settings.cache_clear()
                client = await h.join()
                await client.text("hello")
                await client.close()
            player.close()

    asyncio.run(go())
