"""Estimates of what a job takes on the disk, beside what is really written."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from terrarium.worlds.episodes.kinds import ImportPlayConfig, RecordConfig, played_bytes, record_debug, recorded_bytes
from terrarium.worlds.episodes.record import record_dataset
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.kinds import (
    TokenizerConfig,
    WorldModelConfig,
    painter_parameters,
    tokenizer_cpu,
    tokenizer_debug,
    tokenizer_parameters,
    walk_bytes,
    world_model_bytes,
    world_model_cpu,
    world_model_parameters,
    world_model_small,
)


def test_what_writes_data_has_an_estimate() -> None:
    without = {name for name, kind in kinds().items() if kind.http and kind.estimate is None}
    assert without == {"world-model.evaluate"}


def test_a_recording(tmp_path: Path) -> None:
    config: RecordConfig = replace(record_debug(), steps=100)
    record_dataset(config, tmp_path, Silent())
    written = sum(file.stat().st_size for file in tmp_path.rglob("*.npy"))
    assert written == pytest.approx(recorded_bytes(asdict(config), 0), rel=0.05)


def test_recorded_play_grows_with_the_size_of_its_frames() -> None:
    assert played_bytes(asdict(ImportPlayConfig(width=128, height=96)), 1000) == 3000


@pytest.mark.parametrize("config", [tokenizer_debug(), tokenizer_cpu()])
def test_a_tokenizers_parameters(config: TokenizerConfig) -> None:
    from terrarium.worlds.world_model.tokenizer import Tokenizer

    found = sum(p.numel() for p in Tokenizer(config).parameters())
    assert found <= tokenizer_parameters(asdict(config)) <= 1.35 * found


@pytest.mark.parametrize("config", [world_model_cpu(), world_model_small()])
def test_a_world_models_parameters(config: WorldModelConfig) -> None:
    from terrarium.worlds.world_model.dynamics import Dynamics
    from terrarium.worlds.world_model.tokenizer import Tokenizer

    model = Dynamics(config, Tokenizer(tokenizer_cpu()), (16, 16), 9)
    found = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found <= world_model_parameters(asdict(config)) <= 1.35 * found


@pytest.mark.parametrize("channels", [12, 48, 96])
def test_a_painters_parameters(channels: int) -> None:
    from terrarium.worlds.world_model.discriminator import Discriminator
    from terrarium.worlds.world_model.painter import Painter
    from terrarium.worlds.world_model.tokenizer import Tokenizer

    parts = [Painter(channels), Discriminator(Tokenizer(tokenizer_cpu()))]
    found = sum(p.numel() for part in parts for p in part.parameters())
    config = asdict(replace(world_model_cpu(), painter_channels=channels))
    assert found <= painter_parameters(config) <= 1.1 * found


def test_a_painters_peak_has_its_states_and_the_pool() -> None:
    from terrarium.worlds.world_model.dynamics import Dynamics
    from terrarium.worlds.world_model.painter import Painter
    from terrarium.worlds.world_model.tokenizer import Tokenizer
    from terrarium.worlds.world_model.walks import Walks

    config = replace(world_model_cpu(), tokenizer="given")
    model = Dynamics(config, Tokenizer(tokenizer_cpu()), (18, 32), 9)
    model.painter = Painter(config.painter_channels)
    pool = Walks(model, [], ["key"] * 9, config.painter_walks, config.painter_longest)
    held = sum(x.nbytes for x in pool.state_dict().values())
    assert held <= walk_bytes(asdict(config)) <= 1.2 * held
    more = (
        world_model_bytes(asdict(config), 0) - 48 * painter_parameters(asdict(config)) - 3 * walk_bytes(asdict(config))
    )
    assert more == 24 * world_model_parameters(asdict(config))
    small = replace(config, painter_walks=1, painter_channels=3, channels=1024)
    assert world_model_bytes(asdict(small), 0) == 48 * world_model_parameters(asdict(small)), "the dynamics' own"


def test_a_trainings_peak_is_three_states_and_the_codes() -> None:
    config = asdict(replace(world_model_cpu(), tokenizer="given", painter=False))
    states = world_model_bytes(config, 0)
    assert world_model_bytes(config | {"tokenizer": None}, 0) > states, "a tokenizer first"
    assert states == 3 * 16 * world_model_parameters(config)
    assert world_model_bytes(config, 1000 * 64 * 64 * 3) - states == 1000 * 16 * 16 * 2
