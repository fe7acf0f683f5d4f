"""What presets take is counted without taking it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from terrarium.worlds.materials.kinds import train_debug
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.sizes import KEPT, size_of
from terrarium.worlds.materials.train import shape_of


def test_sizes_are_those_of_the_network_and_grow_with_the_picture() -> None:
    config = train_debug()
    small, large, judged = (
        size_of(each) for each in (config, replace(config, crop=64), replace(config, gan=0.1, gan_layers=3))
    )
    assert small.parameters == sum(p.numel() for p in MaterialNet(**shape_of(config)).parameters())
    assert small.kept == KEPT * small.parameters and small.critic == 0 < judged.critic
    assert large.activations == pytest.approx(4 * small.activations, rel=0.1)
    assert judged.kept == KEPT * (judged.parameters + judged.critic) and torch.get_default_device().type == "cpu"
