"""A world model of a game that has no simulator here: its own action columns, and play from the starts it carries."""

import numpy as np
import pytest

from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.episodes.kinds import record_gym_debug
from terrarium.worlds.episodes.sources.gym_recipe import record_gym
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.train import train_world_model
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    out = tmp_path_factory.mktemp("crafter")
    data, tokenizer, model = out / "data", out / "tokenizer", out / "model"
    record_gym(record_gym_debug(), data, Silent())
    train_tokenizer(tokenizer_debug(str(data / "output")), tokenizer, Silent())
    train_world_model(world_model_debug(str(data / "output"), str(tokenizer / "output")), model, Silent())
    return model / "output", open_dataset(data / "output")


def test_it_plays_from_a_held_out_start(checkpoint):
    folder, dataset = checkpoint
    model = LiveModel.load(folder)
    assert model.simulator() is None and model.layout == dataset.layout and model.fps == 10.0
    frames, actions = model.context(None, seed=33)
    assert any(frames[-1].tobytes() == f.tobytes() for e in dataset.split("val") for f in e.frames)
    states = [model.start(frames, actions), model.start(*model.context(None, seed=2))]
    held = np.stack([model.layout.from_mask(1 << i, 0.0, 0.0) for i in (0, 4)])
    pictures = model.step(states, held, np.zeros(2))
    assert pictures.shape == (2, 32, 32, 3) and pictures.dtype == np.uint8


def test_a_seed_is_a_start(checkpoint):
    model = LiveModel.load(checkpoint[0])
    n = len(model.starts[0])
    one, again, other = (model.context(None, seed)[0] for seed in (3, 3 + n, 4))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_without_its_starts_it_does_not_load(checkpoint, tmp_path):
    import shutil

    folder = shutil.copytree(checkpoint[0], tmp_path / "copy")
    (folder / "starts.npz").unlink()
    with pytest.raises(ValueError, match="neither a simulator nor a starts"):
        LiveModel.load(folder)
