"""A real websockets client against a player in this process, with a model that notes what it is asked."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import simplejpeg
from fake_model import DISCRETE, FakeModel
from play_client import Table, until

from terrarium.store.places import place, shipped_folder
from terrarium.store.play_protocol import PAUSED, RESET, SIMULATOR
from terrarium.workers.player import Player, listen
from terrarium.worlds.blocks.actions import ACTION_NAMES, BLOCKS
from terrarium.worlds.blocks.map_json import BlockMap, write_map

ROOT = Path(__file__).resolve().parents[2]
W = 1


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


def test_a_block_world_stays_through_resets(table: Any, data_dir: Path) -> None:
    async def go() -> None:
        world = str(uuid4())
        folder = place("block-world", world)
        folder.mkdir(parents=True)
        write_map(folder / "map.json", BlockMap(np.ones((8, 4, 8), np.uint8)))
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join(seed=40, world=world)
            assert (await client.text("hello"))["has_simulator"]
            await client.say("reset", seed=50)
            await client.text("reset")
            own, *asked = model.sources  # the warm-up has none
            assert own is None and [source and source["terrain"] for source in asked] == [world, world]
            stranger = await t.join(seed=1, world=str(uuid4()))
            assert "is not here" in (await stranger.text("error"))["message"]
            await client.close()

    asyncio.run(go())


def test_measured_fps_and_no_burst_after_a_late_tick(table: Any) -> None:
    async def go() -> None:
        model = FakeModel()
        async with table({"shipped": model}) as t:
            client = await t.join(fps=20)
            await client.more_frames(12)
            await until(lambda: 17 < client.frames[-1].fps < 23)  # a busy machine may hold up the first frames
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
        other = FakeModel(may_load=Event())
        async with table({"shipped": FakeModel(), "other": other}) as t:
            live = await t.join(fps=30)
            opening = asyncio.create_task(t.join("other"))
            await live.more_frames(10)
            assert not other.batches
            other.may_load.set()
            await (await opening).text("hello")
            await live.more_frames(2)

    asyncio.run(go())


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
        [sys.executable, "-m", "terrarium.workers.player"], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
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
