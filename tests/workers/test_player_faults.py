"""A full player, bad messages, broken checkpoints, models that fail: who is told, and who plays on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fake_model import FakeModel
from play_client import PlayClient, until

from terrarium.store.play_protocol import RESET
from terrarium.workers import player as player_module
from terrarium.workers import waiting
from terrarium.workers.models import BadCheckpoint, checkpoint_folder
from terrarium.workers.waiting import Places


def test_full(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        monkeypatch.setattr(waiting, "MOST_WAITING", 0)
        async with table({"shipped": FakeModel()}, max_players=1) as t:
            first = await t.join()
            await first.text("hello")
            second = await t.join()
            assert (await second.text("error"))["code"] == "player_full"
            assert (await second.closing())[0] == 1013
            await first.close()
            await until(lambda: not t.player.sessions)
            await (await t.join()).text("hello")

    asyncio.run(go())


def test_who_finds_no_place_waits_in_line(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}, max_players=1) as t:
            first = await t.join()
            await first.text("hello")
            second, third = await t.join(), await t.join()
            assert (await second.text("queue"))["position"] == 1 and (await third.text("queue"))["position"] == 2
            await second.input("w")  # dropped: there is nothing yet to press keys in
            await second.close()
            assert (await third.text("queue"))["position"] == 1
            assert not third.frames
            await first.close()
            await third.text("hello")
            await third.more_frames(3)
            assert len(t.player.sessions) == 1

    asyncio.run(go())


def test_a_failed_start_leaves_its_place(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}, max_players=1) as t:
            for _ in range(2):
                assert (await (await t.join("gone")).text("error"))["code"] == "bad_checkpoint"
            await (await t.join()).text("hello")

    asyncio.run(go())


def test_places_go_to_the_key_that_has_fewest() -> None:
    places = Places(2)
    ada = [places.arrive("ada") for _ in range(4)]
    bob = [places.arrive("bob") for _ in range(2)]
    assert [v.position for v in ada] == [0, 0, 3, 4] and [v.position for v in bob] == [1, 2]
    places.leave(ada[0])
    assert [v.position for v in bob] == [0, 2] and [v.position for v in ada[2:]] == [1, 3]
    places.leave(ada[2])  # gave up waiting
    assert [v.position for v in (*bob, ada[3])] == [0, 2, 1]
    for v in (ada[1], bob[0]):
        places.leave(v)
    assert len(places.seated) == 2 and not places.line


@pytest.mark.parametrize("opening", ["{", '{"type": "reset"}', '{"type": "open", "seed": 1}', b"\xff\x00"])
def test_bad_open(table: Any, opening: str | bytes) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}) as t:
            client = await PlayClient.open(t.url)
            await client.ws.send(opening)
            assert (await client.text("error"))["code"] == "bad_open"
            assert (await client.closing())[0] == 1008

    asyncio.run(go())


def test_bad_messages_are_answered_then_end_the_session(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}) as t:
            client = await t.join(fps=30)
            for bad, says in [
                ("{", "Invalid JSON"),
                ('{"type": "settings", "fps": 1000}', "1000"),
                ('{"type": "fly"}', "'reset', 'settings'"),
                (b"\x01\x01\x00", "3 bytes, expected 32"),
            ]:
                await client.ws.send(bad)
                error = await client.text("error")
                assert error["code"] == "bad_message" and says in error["message"]
            await client.more_frames(2)
            for _ in range(player_module.MAX_BAD_MESSAGES):
                await client.ws.send(b"junk")
            assert (await client.closing())[0] == 1008
            assert "too many" in client.texts[-1]["message"]

    asyncio.run(go())


def test_oversized_message_closes(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}) as t:
            client = await t.join()
            await client.text("hello")
            await client.ws.send("x" * 5000)
            assert (await client.closing())[0] == 1009
            await (await t.join()).text("hello")

    asyncio.run(go())


def test_idle_session_ends(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}, idle_s=0.4) as t:
            busy, idle = await t.join(), await t.join()  # both acknowledge frames; one also presses a key
            await busy.input("w", hold=True)
            assert (await idle.text("error"))["code"] == "idle"
            assert (await idle.closing())[0] == 4408
            await busy.more_frames(5)
            await busy.close()

    asyncio.run(go())


def test_bad_checkpoint_at_open(table: Any) -> None:
    async def go() -> None:
        models = {"shipped": FakeModel(), "torn": ValueError("not a safetensors file")}
        async with table(models) as t:
            live = await t.join(fps=30)
            for checkpoint, says in [("gone", "not here"), ("torn", "not a safetensors file")]:
                client = await t.join(checkpoint)
                error = await client.text("error")
                assert error["code"] == "bad_checkpoint" and says in error["message"]
                assert (await client.closing())[0] == 4404
            await live.more_frames(2)
            await live.close()

    asyncio.run(go())


def test_hot_swap(table: Any) -> None:
    async def go() -> None:
        models = {"shipped": FakeModel(), "other": FakeModel(fps=30.0), "torn": ValueError("torn")}
        async with table(models) as t:
            client = await t.join(seed=5)
            await client.text("hello")
            await client.say("settings", checkpoint="torn")
            assert (await client.text("error"))["code"] == "bad_checkpoint"
            await client.more_frames(2)  # goes on
            await client.say("settings", checkpoint="other")
            hello = await client.text("hello")
            assert (hello["checkpoint"], hello["seed"], hello["fps"]) == ("other", 5, 30.0)
            assert (await client.text("reset"))["seed"] == 5
            await client.more_frames(2)
            assert models["other"].batches and any(f.flags & RESET for f in client.frames[1:])
            assert client.accounted()
            await client.close()

    asyncio.run(go())


def test_of_many_resets_the_last_is_done(table: Any) -> None:
    async def go() -> None:
        other = FakeModel(may_load=Event())
        async with table({"shipped": FakeModel(), "other": other}) as t:
            client = await t.join()
            await client.text("hello")
            await client.say("settings", checkpoint="other")
            for seed in (7, 8, 9):
                await client.say("reset", seed=seed)
            await client.more_frames(3)  # by then the player has read them
            other.may_load.set()
            hello = await client.text("hello")
            assert (hello["checkpoint"], hello["seed"]) == ("other", 9)
            assert (await client.text("reset"))["seed"] == 9
            await client.close()

    asyncio.run(go())


def test_a_model_that_fails_takes_only_its_sessions(table: Any) -> None:
    async def go() -> None:
        models = {"shipped": FakeModel(), "other": FakeModel()}
        async with table(models) as t:
            live, doomed = await t.join(fps=30), [await t.join("other") for _ in range(2)]
            await doomed[1].more_frames(1)
            models["other"].fails = True
            for client in doomed:
                error = await client.text("error")
                assert error["code"] == "model_failed" and "told to fail" in error["message"]
                assert (await client.closing())[0] == 1011
            await live.more_frames(3)
            models["other"].fails = False
            again = await t.join("other")
            await again.more_frames(2)
            await asyncio.gather(live.close(), again.close())

    asyncio.run(go())


def test_a_model_that_nobody_plays_is_unloaded(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel(), "other": FakeModel()}, unload_after_s=0.2) as t:
            await t.player.preload("shipped")
            client = await t.join("other")
            await client.text("hello")
            assert set(t.player.models.loaded) == {"shipped", "other"}
            await client.close()
            await until(lambda: set(t.player.models.loaded) == {"shipped"})

    asyncio.run(go())


def test_checkpoint_names_are_not_paths(data_dir: Path) -> None:
    for name in ("../shipped", "/etc", "a/b", "."):
        with pytest.raises(BadCheckpoint, match="expected"):
            checkpoint_folder(name)
    with pytest.raises(BadCheckpoint, match="not here"):
        checkpoint_folder("00000000-0000-4000-8000-000000000000")
