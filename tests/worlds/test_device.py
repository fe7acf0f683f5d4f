from pathlib import Path

import pytest
import torch
from second_device import BACKEND, SECOND

from terrarium.worlds.device import default_device, fork_random

ROOT = Path(__file__).parents[2]


def test_the_environment_names_the_device_or_there_is_one_choice(monkeypatch):
    monkeypatch.delenv("TERRARIUM_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert default_device() == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert default_device() == torch.device("cuda:1")
    monkeypatch.setenv("TERRARIUM_DEVICE", "cpu")
    assert default_device() == torch.device("cpu")
    monkeypatch.setenv("TERRARIUM_DEVICE", "gpu")
    with pytest.raises(ValueError, match="TERRARIUM_DEVICE is 'gpu': expected a device such as cpu, cuda or cuda:1"):
        default_device()


def test_nobody_else_chooses():
    files = [f for room in ("worlds", "workers", "cli") for f in (ROOT / room).rglob("*.py")]
    asking = [f.relative_to(ROOT).as_posix() for f in files if "cuda.is_available" in f.read_text()]
    assert asking == ["worlds/device.py"]


def test_what_is_drawn_in_a_fork_leaves_both_generators(monkeypatch):
    monkeypatch.setenv("TERRARIUM_DEVICE", str(SECOND))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with fork_random():
        torch.manual_seed(6)
        torch.rand(3)
    assert BACKEND.seed == 5 and torch.get_rng_state().equal(before)
