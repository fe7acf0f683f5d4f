"""The shipped world model gives the same tokens by the Triton programs and by the naive path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from terrarium.kernels.conv_gru import fused
from terrarium.worlds.blocks.actions import A
from terrarium.worlds.world_model.live import LiveModel


def play(model: LiveModel, steps: int) -> list[torch.Tensor]:
    """Greedy codes of some frames after a walk of two over a made-up hill."""
    height, width = model.frame_size
    y, x = np.mgrid[:height, :width]
    sky = np.stack([90 + y, 140 + y, 230 - y], axis=-1)
    hill = np.stack([60 + x // 2, 120 + 0 * x, 50 + y], axis=-1)
    first = np.where((y > height / 2 + 6 * np.sin(x / 9))[..., None], hill, sky).clip(0, 255).astype(np.uint8)
    ahead = np.zeros((1, A), np.float32)
    ahead[0, 0] = 1
    state = model.start(np.stack([first, np.roll(first, 2, axis=1)]), ahead)
    found = [state.codes]
    for _ in range(steps):
        model.step([state], ahead, np.zeros(1, np.float32))
        found.append(state.codes)
    return found


def test_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LiveModel.load("shipped")
    launched = []
    launch = fused._gates
    monkeypatch.setattr(fused, "_gates", lambda *args: launched.append(args[0].shape) or launch(*args))
    by_programs = play(model, steps=2)
    assert len(launched) >= 3  # the context and each step, in every layer
    assert not torch.equal(by_programs[0], by_programs[-1])
    monkeypatch.setattr(fused, "runs_triton", lambda x: False)
    naively = play(model, steps=2)
    for x, y in zip(by_programs, naively, strict=True):
        assert torch.equal(x, y)
