import pytest
import torch

from worlds.device import default_device


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
