"""One tiny dataset, tokenizer and world model, trained once for all tests of this folder."""

import pytest
import torch

from terrarium.worlds.episodes.kinds import record_debug
from terrarium.worlds.episodes.record import record_dataset
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.train import train_world_model
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def debug_data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    record_dataset(record_debug(), out, Silent())
    return out / "output"


@pytest.fixture(scope="session")
def debug_tokenizer(debug_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(tokenizer_debug(str(debug_data)), out, Silent())
    return out / "output"


@pytest.fixture(scope="session")
def debug_model(debug_data, debug_tokenizer, tmp_path_factory):
    out = tmp_path_factory.mktemp("world-model")
    train_world_model(world_model_debug(str(debug_data), str(debug_tokenizer)), out, Silent())
    return out / "output"


@pytest.fixture
def in_fp32(monkeypatch):
    """Training computes in fp32, on processors with a bf16 unit too: for tolerances finer than bf16."""
    monkeypatch.setenv("TERRARIUM_PRECISION", "fp32")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """For the trainings above too, which come before any fixture of a test: the same sums, and no waiting for cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_draws():
    torch.manual_seed(0)
