"""A real websockets client against a player in this process, with a model that notes what it is asked."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import simplejpeg
from fake_model import DISCRETE, FakeModel
from play_client import PlayClient, until

from store.play_protocol import PAUSED, RESET, SIMULATOR, Open
from store.shipped import shipped_folder
from workers import player as player_module
from workers.models import BadCheckpoint, checkpoint_folder
from workers.player import Player, listen
from worlds.world_model.actions import ACTION_NAMES, BLOCKS

ROOT = Path(__file__).resolve().parents[2]
W = 1


class Table:
    """A player to sit down at."""

    def __init__(self, player: Player, url: str) -> None:
        self.player, self.url = player, url

    async def join(self, checkpoint: str = "shipped", seed: int = 1, acks: bool = True, **pace: Any) -> PlayClient:
        client = await PlayClient.open(self.url, acks)
        await client.ws.send(Open(session=f"s{seed}", checkpoint=checkpoint, seed=seed).model_dump_json())
        if pace:
            await client.say("settings", **pace)
            await client.text("settings")
        return client


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def make(models: dict[str, Any], **options: Any) -> AsyncIterator[Table]:
        def load(checkpoint: str) -> Any:
            if checkpoint not in models:
                raise BadCheckpoint(f"checkpoint {checkpoint} is not here")
            if isinstance(models[checkpoint], Exception):
                raise models[checkpoint]
            time.sleep(models[checkpoint].load_s)
            return models[checkpoint]

        player = Player(load, **({"max_players": 16} | options))
        url = f"unix://{tmp_path}/player.sock"
        server = await listen(player, url)
        try:
            yield Table(player, url)
        finally:
            server.close()
            await server.wait_closed()
            player.close()

    return make


# Input, without a clock.


# One session.


def test_hello_first_frame_and_echo(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join(seed=40)
            hello = await client.text("hello")
            assert hello == {
                "type": "hello", "session": "s40", "checkpoint": "shipped", "seed": 40, "temperature": 0.5,
                "width": 16, "height": 16, "fps": 15.0, "has_simulator": True,
                "action_names": list(ACTION_NAMES), "keys": dict(BLOCKS.keys), "has_camera": True,
                "max_yaw_deg": 8.0, "max_pitch_deg": 6.0,
            }  # fmt: skip
            await until(lambda: len(client.frames) >= 2)
            first, second = client.frames[:2]
            assert (first.flags, first.players, first.sim_jpeg) == (RESET, 1, b"") and client.accounted()
            assert abs(int(simplejpeg.decode_jpeg(first.model_jpeg)[0, 0, 0]) - 40) <= 2
            assert second.flags == 0
            seq = await client.input("w", "sprint")
            await until(lambda: client.frames[-1].action_seq >= seq)
            assert {"w", "sprint"} in model.keys_seen()
            frame = client.frames[-1]
            assert 0 < time.monotonic() * 1e3 - frame.client_ms < 1000 and frame.model_ms >= 0
            await client.close()
            await until(lambda: not t.player.sessions)

    asyncio.run(go())


def test_another_games_keys_and_no_simulator(table: Any) -> None:
    async def go() -> None:
        model = FakeModel(layout=DISCRETE, has_simulator=False)
        async with table({"shipped": model}) as t:
            client = await t.join(seed=40)
            hello = await client.text("hello")
            assert hello["action_names"] == ["left", "right", "fire"] and hello["keys"]["Space"] == "fire"
            assert not hello["has_camera"] and not hello["has_simulator"]
            await client.say("settings", simulator=True)
            await client.text("settings")
            await client.input("w", hold=True)  # the first bit
            await until(lambda: {"left"} in model.keys_seen())
            assert all(not f.flags & SIMULATOR and not f.sim_jpeg for f in await client.more_frames(3))
            await client.say("reset", seed=50)
            await until(lambda: len(model.states) == 3)  # warm-up, first start, reset
            assert model.states[-1].seed_level == 50
            await client.close()

    asyncio.run(go())


def test_measured_fps_and_no_burst_after_a_late_tick(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join(fps=20)
            await client.more_frames(12)
            assert 17 < client.frames[-1].fps < 23
            model.step_s = 0.4
            await client.more_frames(1)
            model.step_s = 0.0
            start = time.monotonic()
            await client.more_frames(8)
            assert time.monotonic() - start > 0.25  # 8 frames at 20 fps, the first perhaps at once
            await client.close()

    asyncio.run(go())


def test_tap_between_ticks_reaches_the_model(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join(fps=5, acks=False)
            await client.more_frames(1)
            await client.input("jump")
            seq = await client.input()
            await until(lambda: client.frames[-1].action_seq >= seq)
            await client.more_frames(1)
            assert model.keys_seen().count({"jump"}) == 1
            await client.close()

    asyncio.run(go())


def test_reset_with_and_without_a_seed(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}) as t:
            client = await t.join(seed=1, fps=30)
            await client.more_frames(3)
            await client.say("reset", seed=99)
            assert (await client.text("reset"))["seed"] == 99
            await until(lambda: client.frames[-1].flags & RESET)
            flagged = client.frames[-1]
            assert abs(int(simplejpeg.decode_jpeg(flagged.model_jpeg)[0, 0, 0]) - 99) <= 2
            await client.say("reset")
            assert (await client.text("reset"))["seed"] != 99
            await client.more_frames(1)
            assert client.accounted()
            await client.close()

    asyncio.run(go())


def test_simulator_stays_on_the_same_walk(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join(seed=10, fps=30)
            await client.more_frames(5)
            world = model.worlds[-1]
            assert world.advanced >= 3  # unseen: no picture made
            await client.say("settings", simulator=True)
            await until(lambda: client.frames[-1].flags & SIMULATOR)
            await client.more_frames(2)
            assert client.frames[-1].sim_jpeg
            await client.close()
            await until(lambda: not t.player.sessions)
            assert abs(world.steps - len(model.states[-1].taken)) <= 1

    asyncio.run(go())


def test_pause_shows_one_still_and_forgets_what_was_pressed(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join(fps=30, acks=False)
            await client.more_frames(2)
            await client.say("settings", paused=True)
            assert (await client.text("settings"))["paused"] is True
            await until(lambda: client.frames[-1].flags & PAUSED)
            count, steps = len(client.frames), len(model.batches)
            await client.input("w", yaw_deg=90.0)
            await client.input()
            await asyncio.sleep(0.15)
            assert (len(client.frames), len(model.batches)) == (count, steps)
            await client.say("settings", simulator=True)
            (still,) = await client.more_frames(1)
            assert still.flags == PAUSED | SIMULATOR
            await client.say("settings", paused=False)
            await client.more_frames(3)
            assert len(model.batches) > steps and {"w"} not in model.keys_seen() and not any(model.yaw_deg())
            await client.close()

    asyncio.run(go())


def test_settings_in_force(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join()
            await client.say("settings", temperature=1.25, guidance=2)
            assert await client.text("settings") == {
                "type": "settings", "temperature": 1.25, "simulator": False, "fps": 15.0, "paused": False,
                "record": False, "guidance": 2.0, "checkpoint": "shipped",
            }  # fmt: skip
            await until(lambda: model.temperatures == [1.25] and model.guidances == [2.0])
            await client.close()

    asyncio.run(go())


# Several sessions.


def test_sessions_of_a_model_advance_as_one_batch(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            clients = [await t.join(seed=i, fps=30) for i in range(4)]
            await until(lambda: model.batches[-3:] == [4, 4, 4])
            await clients[2].input("d", hold=True)
            await until(lambda: model.keys_seen(2 - 4)[-1] == {"d"})
            assert not any(key for keys in model.keys_seen(3 - 4) for key in keys)
            assert clients[0].frames[-1].players == 4
            await asyncio.gather(*(c.close() for c in clients))

    asyncio.run(go())


def test_each_session_keeps_its_pace(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}) as t:
            fast, slow = await t.join(fps=30), await t.join(fps=10)
            await slow.more_frames(2)
            before = len(fast.frames), len(slow.frames)
            await asyncio.sleep(1.0)
            made = len(fast.frames) - before[0], len(slow.frames) - before[1]
            assert made[0] <= 32 and made[1] <= 12 and 2 < made[0] / made[1] < 4
            await asyncio.gather(fast.close(), slow.close())

    asyncio.run(go())


def test_stalled_client_slows_nobody(table: Any) -> None:
    async def go() -> None:
        async with table({"shipped": FakeModel()}) as t:
            stalled, live = await t.join(fps=30), await t.join(fps=30)
            stalled.reader.cancel()
            stalled.ws.transport.pause_reading()
            session = next(iter(t.player.sessions))
            before = len(live.frames)
            await asyncio.sleep(1.0)
            assert len(live.frames) - before >= 15
            assert session.slot.frame is None or isinstance(session.slot.frame, bytes)  # one at most
            stalled.ws.transport.abort()
            await live.close()

    asyncio.run(go())


def test_slow_start_of_one_session_does_not_stall_another(table: Any) -> None:
    async def go() -> None:
        other = FakeModel(load_s=0.5)
        async with table({"shipped": FakeModel(), "other": other}) as t:
            live = await t.join(fps=30)
            await live.more_frames(5)
            opening = asyncio.create_task(t.join("other"))
            before = len(live.frames)
            await (await opening).text("hello")
            assert len(live.frames) - before >= 7
            gaps = [b - a for a, b in zip(live.arrivals[5:], live.arrivals[6:], strict=False)]
            assert max(gaps) < 0.4

    asyncio.run(go())


# What goes wrong.


def test_full(table: Any) -> None:
    async def go() -> None:
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
        async with table({"shipped": FakeModel(), "other": FakeModel(load_s=0.2)}) as t:
            client = await t.join()
            await client.text("hello")
            await client.say("settings", checkpoint="other")
            for seed in (7, 8, 9):
                await client.say("reset", seed=seed)
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


# A real model.

TOKENIZER, TORN = (f"00000000-0000-4000-8000-00000000000{i}" for i in range(2))


@pytest.fixture
def unplayable(data_dir: Path) -> None:
    """Two checkpoints beside the shipped one: one of another kind, one with torn weights."""
    for id in (TOKENIZER, TORN):
        shutil.copytree(shipped_folder(), data_dir / "checkpoints" / id)
    manifest = data_dir / "checkpoints" / TOKENIZER / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"world-model"', '"tokenizer"', 1))
    (data_dir / "checkpoints" / TORN / "model.safetensors").write_bytes(b"torn")


def test_shipped_model_plays(unplayable: None, tmp_path: Path) -> None:
    async def go() -> None:
        player, url = Player(), f"unix://{tmp_path}/p.sock"
        server = await listen(player, url)
        table = Table(player, url)
        one, two = await table.join(seed=3), await table.join(seed=4)
        hello = await two.text("hello", 120)
        size = hello["height"], hello["width"], 3
        await one.say("settings", simulator=True)
        seq = await one.input("w", yaw_deg=5.0, hold=True)
        await until(lambda: one.frames and one.frames[-1].flags & SIMULATOR, 20)
        await until(lambda: one.frames[-1].action_seq >= seq and one.frames[-1].players == 2, 20)
        frame = one.frames[-1]
        for jpeg in (frame.model_jpeg, frame.sim_jpeg):
            assert simplejpeg.decode_jpeg(jpeg).shape == size
        for bad, says in ((TOKENIZER, "tokenizer"), (TORN, "safetensors")):
            await one.say("settings", checkpoint=bad)
            error = await one.text("error", 20)
            assert error["code"] == "bad_checkpoint" and says in error["message"]
        await one.say("reset", seed=9)
        await one.text("reset", 20)
        await one.more_frames(2, 20)
        await asyncio.gather(one.close(), two.close())
        server.close()
        await server.wait_closed()
        player.close()

    asyncio.run(go())


# The process.


def test_process_starts_and_ends_cleanly(tmp_path: Path) -> None:
    env = os.environ | {"TERRARIUM_PLAYER_URL": f"unix://{tmp_path}/s/player.sock"}
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.player"], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    )
    socket_path = tmp_path / "s" / "player.sock"
    deadline = time.monotonic() + 60
    while not socket_path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert socket_path.exists() and socket_path.stat().st_mode & 0o077 == 0
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0 and "Traceback" not in errors
    assert not socket_path.exists()
