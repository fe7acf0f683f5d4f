"""Estimates beside what is really written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from worlds.configs import CONFIGS, record_debug, tokenizer_cpu, tokenizer_debug, world_model_cpu, world_model_small
from worlds.episodes.record import record_dataset
from worlds.progress import Silent
from worlds.sizes import ESTIMATES, estimated_bytes, tokenizer_parameters, world_model_parameters


def test_every_kind_has_an_estimate() -> None:
    assert ESTIMATES.keys() == CONFIGS.keys()


def test_a_recording(tmp_path: Path) -> None:
    config = replace(record_debug(), steps=100)
    record_dataset(config, tmp_path, Silent())
    written = sum(file.stat().st_size for file in tmp_path.rglob("*.npy"))
    assert written == pytest.approx(estimated_bytes(asdict(config)), rel=0.05)


@pytest.mark.parametrize("make", [tokenizer_debug, tokenizer_cpu])
def test_a_tokenizers_parameters(make: Callable[[], Any]) -> None:
    from worlds.world_model.tokenizer import Tokenizer

    config = make()
    found = sum(p.numel() for p in Tokenizer(config).parameters())
    assert found <= tokenizer_parameters(asdict(config)) <= 1.35 * found


@pytest.mark.parametrize("make", [world_model_cpu, world_model_small])
def test_a_world_models_parameters(make: Callable[[], Any]) -> None:
    from worlds.world_model.dynamics import Dynamics
    from worlds.world_model.tokenizer import Tokenizer

    config = make()
    model = Dynamics(config, Tokenizer(tokenizer_cpu()), (16, 16), 9)
    found = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found <= world_model_parameters(asdict(config)) <= 1.35 * found


def test_a_trainings_peak_is_three_states_and_the_codes() -> None:
    config = asdict(world_model_cpu())
    states = estimated_bytes(config)
    assert states == 3 * 16 * world_model_parameters(config)
    frames = 1000 * 64 * 64 * 3
    assert estimated_bytes(config, frames) - states == 1000 * 16 * 16 * 2
