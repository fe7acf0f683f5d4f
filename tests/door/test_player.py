"""The shipped model and the simulator, walked by the same calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from brought import change_manifest, make_world_model
from PIL import Image

from terrarium.film import Film
from terrarium.player import ModelPlayer, SimulatorPlayer, load, simulator
from terrarium.worlds.blocks.map_json import BlockMap, write_map
from terrarium.worlds.blocks.terrain import generate
from terrarium.worlds.blocks.walk import glance
from terrarium.worlds.blocks.world import BlockWorld

SCRIPT = "w*2 left w+jump"


@pytest.fixture(scope="module")
def model() -> ModelPlayer:
    return load("shipped", seed=7)


def test_model_and_simulator_begin_alike_and_take_the_same_script(model: ModelPlayer) -> None:
    model.reset(7)
    twin = model.simulator()
    assert isinstance(twin, SimulatorPlayer) and (twin.frame == model.frame).all()
    assert (simulator(7).frame == model.frame).all(), "the shipped model learned from `mixed`"
    new = model.play(SCRIPT)
    assert new.shape == (4, 64, 64, 3) and new.dtype == np.uint8
    assert model.frames.shape == (5, 64, 64, 3) and (model.frames[1:] == new).all()
    assert (model.frame == new[-1]).all() and model.actions.shape == (4, 9)
    before = twin.pose
    twin.play(model.actions)
    assert (twin.actions == model.actions).all() and not np.allclose(twin.pose, before)
    mse = np.mean((twin.frames[1].astype(float) - model.frames[1]) ** 2)
    assert 0 < mse < 1000, "the dream begins close to the truth"
    assert "seed 7, frame 4, 64x64" in repr(model)


def test_the_same_seed_and_keys_dream_the_same(model: ModelPlayer) -> None:
    import torch

    model.reset(3)
    first = model.play(SCRIPT)
    model.reset(3)
    generator = torch.get_rng_state()
    assert (model.play(SCRIPT) == first).all()
    assert (torch.get_rng_state() == generator).all(), "torch's own generator is left alone"
    model.reset(3)
    assert (model.step("w") == first[0]).all() and (model.step(keys="w") == first[1]).all()
    assert (model.step(turn=(-8, 0)) == first[2]).all()


def test_several_worlds_advance_in_one_batch(model: ModelPlayer) -> None:
    assert model.reset([7, 8]).shape == (2, 64, 64, 3)
    assert model.step(["w", "s"]).shape == (2, 64, 64, 3)
    assert model.step("jump", turn=[(8, 0), (-8, 0)]).shape == (2, 64, 64, 3)
    assert model.play(["a*3", "d noop*2"]).shape == (2, 3, 64, 64, 3)
    assert model.frames.shape == (2, 6, 64, 64, 3) and model.actions.shape == (2, 5, 9)
    twin = model.simulator()
    assert (twin.frames[:, 0] == model.frames[:, 0]).all() and twin.pose.shape == (2, 5)
    twin.play(model.actions)
    assert (twin.actions == model.actions).all() and twin.frames.shape == model.frames.shape
    with pytest.raises(ValueError, match=r"scripts of shape \(3, 1, 9\): expected one for 2 world"):
        model.play(np.zeros((3, 1, 9), np.float32))
    with pytest.raises(ValueError, match="seed -1"):
        model.reset([3, -1])
    assert model.seeds == (7, 8) and model.frames.shape == (2, 6, 64, 64, 3), "what cannot be changes nothing"
    for wrong in (["w"], ["w", "s", "a"]):
        with pytest.raises(ValueError, match="expected one for 2 world"):
            model.step(wrong)
    with pytest.raises(ValueError, match=r"scripts of \[2, 3\] frames"):
        model.play(["w*2", "s*3"])


def test_play_goes_on_from_a_picture_or_a_clip(model: ModelPlayer) -> None:
    world = simulator(11)
    world.play("w*4")
    assert (model.reset(frames=world.frame) == world.frame).all()
    model.step("w")[:] = 0
    assert model.frame.any(), "a frame is the caller's own"
    with pytest.raises(ValueError, match="began at given frames"):
        model.simulator()
    model.reset(seed=5, frames=world.frames, actions=world.actions)
    assert (model.frame == world.frame).all() and model.seeds == (5,)
    for frames, actions, says in (
        (world.frame[:32], None, r"frames uint8 \(32, 64, 3\): expected uint8 \(64, 64, 3\)"),
        (world.frame / 255, None, "frames float64"),
        (world.frames, world.actions[:-1], r"actions \(3, 9\) between 5 frames: expected \(4, 9\)"),
        (world.frames[:1], None, "T > 1"),
    ):
        with pytest.raises(ValueError, match=says):
            model.reset(frames=frames, actions=actions)


def test_a_model_without_a_simulator_begins_at_its_own_starts(tmp_path: Path) -> None:
    folder = make_world_model(tmp_path / "game")
    data = json.loads((folder / "manifest.json").read_text())["data"]
    change_manifest(folder, data=data | {"source": {"kind": "gym", "env": "crafter:Env"}})
    world = BlockWorld(64, 64)
    clips = [glance(world, seed) for seed in (1, 2)]
    np.savez(folder / "starts.npz", frames=np.stack([c[0] for c in clips]), actions=np.stack([c[1] for c in clips]))
    game = load(folder, seed=[4, 5])
    assert (game.frame == np.stack([frames[-1] for frames, _ in clips])).all(), "by the seed, modulo their number"
    assert game.play("w*2").shape == (2, 2, 64, 64, 3)
    with pytest.raises(ValueError, match="was trained on 'gym': it has no simulator"):
        game.simulator()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: load("nowhere"), "nowhere is not there: expected a checkpoint folder"),
        (lambda: load("shipped", temperature=3), "temperature 3: expected 0 to 2"),
        (lambda: load("shipped", guidance=0), "guidance 0: expected 1 to 4"),
        (lambda: simulator(-1), "seed -1: expected a whole number from 0"),
        (lambda: simulator(1.5), "seed .*1.5.*: expected a whole number"),
        (lambda: simulator([]), "no seed"),
        (lambda: simulator(0, "moon"), "world 'moon': expected one of mixed, plains"),
        (lambda: simulator(0, width=0), "frames of 0x64"),
        (lambda: simulator().play(np.ones((2, 3))), r"actions \(2, 3\): expected finite numbers \(N, 9\)"),
    ],
)
def test_what_is_wrong_is_named(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_the_simulator_is_the_block_world(tmp_path: Path) -> None:
    blocks = generate("plains", 1)[:32, :, :32]
    write_map(tmp_path / "castle.json", BlockMap(blocks))
    walk = simulator(2, str(tmp_path / "castle.json"), width=48, height=32)
    assert walk.frame.shape == (32, 48, 3) and "castle.json" in repr(walk)
    desert = simulator(3, "desert", width=32, height=32)
    desert.step("w")
    world = BlockWorld(32, 32, "desert")
    world.reset(3)
    for action in ([0.5], [0.5], [-0.5], [-0.5], [], [], []):
        world.step(np.array(action + [0] * (9 - len(action)), np.float32))
    assert (desert.frame == world.step(desert.actions[0])).all()


def test_frames_become_pictures_gifs_and_videos(tmp_path: Path) -> None:
    walk, other = simulator(7, width=40, height=32), simulator(8, width=40, height=32)
    walk.play("w*5")
    other.play("s*5")
    with Image.open(walk.save_gif(tmp_path / "walk.gif", scale=3)) as gif:
        assert gif.size == (120, 96) and gif.n_frames == 6 and gif.info["duration"] == 50
    video = walk.film(other).save_video(tmp_path / "walk.mp4")
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6 and frames[0].shape == (256, (40 + 2 + 40) * 8, 3)
    assert abs(frames[0][::8, :320:8].astype(float) - walk.frames[0]).mean() < 8
    assert walk.sheet(other, count=3, scale=1).size == (3 * 42, 2 * 34)
    assert walk._repr_png_().startswith(b"\x89PNG") and "data:image/gif" in walk.film()._repr_html_()
    assert simulator([1, 2])._repr_png_().startswith(b"\x89PNG")


def test_pictures_that_cannot_be_are_refused(tmp_path: Path) -> None:
    walk = simulator(7)
    with pytest.raises(ValueError, match=r"walk\.avi: expected a file that ends in \.mp4"):
        walk.save_video(tmp_path / "walk.avi")
    with pytest.raises(ValueError, match="scale 0"):
        walk.save_gif(tmp_path / "walk.gif", scale=0)
    with pytest.raises(ValueError, match="expected the same of all"):
        walk.film(simulator(7, height=32))
    with pytest.raises(ValueError, match=r"frames are float64 \(2, 2\)"):
        Film(np.zeros((2, 2)))
    assert not list(tmp_path.iterdir())
