"""From a key press to training data: play is recorded by a real player, then imported."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from fake_model import FakeModel
from play_client import PlayClient, until

from terrarium.store.places import place
from terrarium.store.play_protocol import Open
from terrarium.store.plays import list_plays, picture_of, play_folder
from terrarium.store.settings import Settings
from terrarium.workers import outputs, play_log, runner
from terrarium.workers.outputs import input_folders
from terrarium.workers.play_log import Plays
from terrarium.workers.player import Player, listen
from terrarium.worlds.blocks.actions import ACTION_NAMES, Layout
from terrarium.worlds.blocks.map_json import BlockMap, write_map
from terrarium.worlds.blocks.terrain import generate
from terrarium.worlds.blocks.world import world_of
from terrarium.worlds.episodes.format import Episode, open_dataset
from terrarium.worlds.episodes.kinds import ImportPlayConfig, import_play_debug
from terrarium.worlds.episodes.sources.recipe import import_dataset
from terrarium.worlds.progress import Silent

W = ACTION_NAMES.index("w")


@dataclass
class CountingModel(FakeModel):
    """Its picture's grey level is the number of actions taken. The simulator beside it is the real one."""

    fps: float = 30.0
    manifest: dict[str, Any] = field(default_factory=lambda: {"data": {"source": SOURCE}})

    def simulator(self, source: dict[str, Any] | None = None) -> Any:
        return world_of(source or SOURCE, 16, 16) if self.has_simulator else None

    def step(
        self, states: list[Any], actions: np.ndarray, temperature: np.ndarray, guidance: np.ndarray | None = None
    ) -> np.ndarray:
        super().step(states, actions, temperature, guidance)
        return np.stack([np.full((16, 16, 3), len(s.taken), np.uint8) for s in states])


SOURCE = {"kind": "blocks", "terrain": "plains"}


@asynccontextmanager
async def playing(
    model: FakeModel, folder: Path, max_bytes: float = 1e9, world: str | None = None
) -> AsyncIterator[PlayClient]:
    plays = Plays(folder, max_bytes)
    player = Player(lambda _: model, max_players=1, plays=plays)
    url = f"unix://{folder.parent}/player.sock"
    server = await listen(player, url)
    client = await PlayClient.open(url)
    try:
        await client.ws.send(Open(session="s", checkpoint="shipped", seed=7, world=world).model_dump_json())
        await client.text("hello")
        yield client
        await client.close()
        await until(lambda: not player.sessions)
    finally:
        server.close()
        await server.wait_closed()
        player.close()


def record(model: FakeModel, folder: Path, frames: int, world: str | None = None) -> None:
    """Half a second unrecorded, then so many frames with W held every now and then."""

    async def go() -> None:
        async with playing(model, folder, world=world) as client:
            await client.more_frames(5)
            await client.say("settings", record=True)
            assert (await client.text("settings"))["record"] is True
            for _ in range(frames // 10):
                await client.more_frames(5)
                await client.input("w", yaw_deg=3.0)
                await client.more_frames(5)

    asyncio.run(go())


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/[0-9]*"))


def imported(pictures: Any, plays: Path, out: Path, size: int = 16) -> tuple[dict[str, Any], list[Episode]]:
    config = ImportPlayConfig(pictures=pictures, plays=(str(plays),), width=size, height=size)
    result = import_dataset(config, out, Silent())
    return result, open_dataset(out / "output", verify=True).episodes


@pytest.fixture(scope="module")
def played(tmp_path_factory: Any) -> tuple[Path, np.ndarray]:
    """A folder of two full parts and a rest, and all actions of the walk."""
    folder = tmp_path_factory.mktemp("play") / "plays"
    model = CountingModel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(play_log, "PART", 25)
        record(model, folder, frames=80)
    return folder, np.stack(model.states[-1].taken)


def test_action_t_leads_from_frame_t_to_frame_t_plus_1(played: Any, tmp_path: Path) -> None:
    """The alignment test: the pictures tell how many actions came before them."""
    folder, taken = played
    result, episodes = imported("model", folder, tmp_path)
    assert result["skipped"] == [] and [len(e.frames) for e in episodes][:2] == [26, 26]
    for episode in episodes:
        levels = episode.frames[:, 0, 0, 0].astype(int)
        assert (np.diff(levels) == 1).all()
        np.testing.assert_array_equal(episode.actions, taken[levels[:-1]])
    first, second = (e.frames[:, 0, 0, 0] for e in episodes[:2])
    assert first[0] >= 5, "what came before was not recorded"
    assert first[-1] == second[0], "parts overlap by one frame"
    assert sum(e.actions[:, W].sum() for e in episodes) >= 3


def test_the_simulator_can_be_walked_again_at_another_size(played: Any, tmp_path: Path) -> None:
    folder, taken = played
    result, episodes = imported("simulator", folder, tmp_path, size=32)
    assert result["skipped"] == [] and len(episodes) >= 3
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert manifest["source"] | SOURCE == manifest["source"], "the next model has the same simulator"
    shown = np.load(parts(folder)[0] / "frames.npy")
    world = world_of(SOURCE, 32, 32)
    world.reset(7)
    for action in taken[: shown[0, 0, 0, 0]]:
        world.advance(action)
    for t, frame in enumerate(episodes[0].frames[:-1]):
        np.testing.assert_array_equal(frame, world.render())
        assert episodes[0].pose is not None
        np.testing.assert_allclose(episodes[0].pose[t], world.pose, atol=1e-4)
        world.advance(episodes[0].actions[t])


def test_a_job_imports_all_that_was_recorded(played: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker does it: the input's folder, then the runner with what the gateway stored."""
    monkeypatch.setattr(outputs, "settings", lambda: Settings(data_dir=played[0].parent))
    config = asdict(import_play_debug())
    spec = {"kind": config["kind"], "config": config, "inputs": input_folders(config), "out_dir": str(tmp_path)}
    assert spec["inputs"] == {"plays": [str(played[0])]}
    text = io.StringIO()
    result = runner.run(spec, runner.Reporter(runner.Lines(text), tmp_path, threading.Event()))
    assert result["skipped"] == [] and result["episodes"] >= 3
    assert open_dataset(tmp_path / "output").frame_size == (32, 32)
    assert '"role": "preview"' in text.getvalue()


def test_damaged_plays_are_named(played: Any, tmp_path: Path) -> None:
    plays = shutil.copytree(played[0], tmp_path / "plays")
    first, second, third, *rest = parts(plays)
    (first / "actions.npy").unlink()
    (second / "play.json").write_text("{")
    frames = np.load(third / "frames.npy")
    np.save(third / "frames.npy", frames[:-3])
    for i in range(2):
        shutil.copytree(parts(played[0])[0], plays / "9-good" / f"00{i}")
    result, episodes = imported("model", plays, tmp_path / "out")
    reasons = [s["reason"] for s in result["skipped"]]
    assert (
        len(episodes) == 2 + len(rest)
        and "actions.npy is missing" in reasons[0]
        and "play.json cannot be read" in reasons[1]
    )
    assert "frames for" in reasons[2]


def test_a_game_keeps_its_own_actions(tmp_path: Path) -> None:
    game = Layout(("left", "right"), {"ArrowLeft": "left", "ArrowRight": "right"})
    model = CountingModel(layout=game, has_simulator=False, manifest={"data": {"source": {"kind": "gym"}}})
    record(model, tmp_path / "plays", frames=30)
    _, (episode,) = imported("model", tmp_path / "plays", tmp_path / "out")
    assert episode.actions.shape[1] == 2 and episode.pose is None
    manifest = json.loads((tmp_path / "out" / "output" / "manifest.json").read_text())
    assert manifest["action_names"] == ["left", "right"] and manifest["keys"] == game.keys
    with pytest.raises(ValueError, match="no simulator was beside this play"):
        imported("simulator", tmp_path / "plays", tmp_path / "again")


def test_nothing_is_recorded_unasked_or_beyond_the_limit(tmp_path: Path) -> None:
    async def go() -> None:
        async with playing(CountingModel(), tmp_path / "a" / "plays") as client:
            await client.more_frames(30)
        async with playing(CountingModel(), tmp_path / "b" / "plays", max_bytes=0) as client:
            await client.say("settings", record=True)
            refused = await client.text("error")
            assert refused["code"] == "not_recorded" and "MAX_PLAYS_GB" in refused["message"]
            assert (await client.text("settings"))["record"] is False
            await client.more_frames(30)
        async with playing(CountingModel(), tmp_path / "c" / "plays") as client:
            await client.say("settings", record=True)
            await client.more_frames(30)
            await client.say("settings", record=False)
            await client.more_frames(30)

    for name in "abc":
        (tmp_path / name).mkdir()
    asyncio.run(go())
    assert not (tmp_path / "a" / "plays").exists() and not (tmp_path / "b" / "plays").exists()
    (part,) = parts(tmp_path / "c" / "plays")
    assert 17 <= len(np.load(part / "frames.npy")) <= 40


def test_the_player_is_told_when_a_part_could_not_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with playing(CountingModel(), tmp_path / "plays") as client:
            await client.say("settings", record=True)
            assert (await client.text("settings"))["record"] is True
            (tmp_path / "plays").write_text("no folder can be made here")
            told = await client.text("error")
            assert told["code"] == "not_recorded" and "could not be written" in told["message"]
            assert (await client.text("settings"))["record"] is False
            await client.more_frames(5)

    monkeypatch.setattr(play_log, "PART", 20)
    asyncio.run(go())


def test_a_recording_is_listed_with_its_picture(played: Any) -> None:
    (play,) = list_plays(played[0])
    assert play.problem is None and play.world == "plains" and play.seed == 7 and play.checkpoint == "shipped"
    assert play.frames == sum(len(np.load(p / "frames.npy")) for p in parts(played[0])) - len(parts(played[0])) + 1
    folder = play_folder(played[0], play.id)
    assert folder is not None
    picture = picture_of(folder)
    assert picture is not None and picture.read_bytes()[:2] == b"\xff\xd8"


def test_play_in_a_block_world_is_recorded_with_that_world(tmp_path: Path, data_dir: Path) -> None:
    world = str(uuid4())
    folder = place("block-world", world)
    folder.mkdir(parents=True)
    blocks = generate("desert", 3)
    write_map(folder / "map.json", BlockMap(blocks))
    record(CountingModel(), tmp_path / "plays", frames=20, world=world)
    shutil.rmtree(folder)  # the recording brings the world along
    (play,) = list_plays(tmp_path / "plays")
    assert play.world == world and play.problem is None
    _, (episode, *_) = imported("simulator", tmp_path / "plays", tmp_path / "out")
    source = open_dataset(tmp_path / "out" / "output").manifest["source"]
    simulator = world_of(source, 16, 16)
    np.testing.assert_array_equal(simulator.blocks, blocks)
    np.testing.assert_allclose(episode.pose[1:3, 3] - episode.pose[0:2, 3], episode.actions[:2, 0] * 8, atol=1e-3)
