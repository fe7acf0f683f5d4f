"""How much disk a job takes at its peak, from its config alone. Torch-free; meant to be right within a third or so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Config = Mapping[str, Any]
STATES = 3  # of a training: two are kept while the next is written (worlds/training/loop.py)
REPORT_BYTES = 5_000_000  # an evaluation's pictures and page


def estimated_bytes(config: Config, data_bytes: int = 0) -> int:
    """At the peak of a job with this config. `data_bytes`: raw size of the frames that it reads."""
    return ESTIMATES[config["kind"]](config, data_bytes)


def recording(config: Config, data_bytes: int) -> int:
    """uint8 frames, and the columns of actions and pose, float32."""
    frames = config["episodes"] * (config["steps"] + 1)
    return frames * (config["height"] * config["width"] * 3 + 4 * 16)


def imported_play(config: Config, data_bytes: int) -> int:
    """As many frames as were played, which was at 64x64 as a rule, in another size."""
    return data_bytes * config["height"] * config["width"] // (64 * 64)


def tokenizer_training(config: Config, data_bytes: int) -> int:
    return STATES * 16 * tokenizer_parameters(config)


def world_model_training(config: Config, data_bytes: int) -> int:
    """States, and the codes of all frames: two bytes for 4x4 pixels of three."""
    return STATES * 16 * world_model_parameters(config) + data_bytes // 24


def evaluation(config: Config, data_bytes: int) -> int:
    return REPORT_BYTES


def tokenizer_parameters(config: Config) -> int:
    return 230 * config["channels"] ** 2 + config["codes"] * config["code_dim"]


def world_model_parameters(config: Config) -> int:
    c = config["channels"]
    return config["layers"] * (72 * c * c + 1800 * c) + 2500 * c + 60_000


ESTIMATES: dict[str, Callable[[Config, int], int]] = {
    "dataset.record": recording,
    "dataset.record-gym": recording,
    "dataset.import-play": imported_play,
    "tokenizer.train": tokenizer_training,
    "world-model.train": world_model_training,
    "world-model.evaluate": evaluation,
}
