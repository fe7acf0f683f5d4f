"""Kinds of jobs that make datasets: their configs, presets and rows. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import AfterValidator, Field, StringConstraints

from terrarium.worlds.episodes.fits import play_misfits
from terrarium.worlds.kinds import CONFIG, AssetType, Input, JobKind, Manifests, More


def _in_whole_cells(side: int) -> int:
    if side % 4:
        raise ValueError(f"{side} is not a multiple of 4, the side of a tokenizer's cell")
    return side


Side = Annotated[int, Ge(16), Le(256), AfterValidator(_in_whole_cells), Field(json_schema_extra={"multipleOf": 4})]
Terrain = Literal["mixed", "plains", "desert", "forest", "lake", "hills"]


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """Walk the block world and record episodes. Every episode has its own seed: `seed`, `seed + 1`, ...

    On the command line `world` may also be the path of a map.json, or of a block world's folder.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["dataset.record"] = "dataset.record"
    world: Terrain = "mixed"
    """Terrain of the worlds; mixed: another one for each seed."""
    map: Annotated[str, Input("block-world")] | None = None
    """A world to walk in, in place of terrain: seeds say where its walks start."""
    episodes: Annotated[int, Ge(2), Le(100_000)] = 200
    """Number of walks; on terrain, each in a world of its own."""
    steps: Annotated[int, Ge(16), Le(10_000)] = 256
    """Actions in an episode, which holds one frame more."""
    width: Annotated[Side, More("Frames")] = 64
    """Frame width in pixels, a multiple of 4."""
    height: Annotated[Side, More("Frames")] = 64
    """Frame height in pixels, a multiple of 4."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Splits and seeds")] = 0
    """World seed of the first episode."""
    val_fraction: Annotated[float, Ge(0), Le(0.5), More("Splits and seeds")] = 0.05
    """Share of the episodes held out for validation: the last ones, so that no world is in both splits."""


@dataclass(frozen=True, kw_only=True)
class RecordGymConfig:
    """Play a game at random and record episodes. `env` is an id that gymnasium knows, or `module:Class`; it needs
    discrete actions, and a picture as its observation or from `render()`."""

    __pydantic_config__ = CONFIG
    kind: Literal["dataset.record-gym"] = "dataset.record-gym"
    env: Annotated[str, StringConstraints(pattern=r"^[\w.:/-]+$", max_length=200)] = "crafter:Env"
    """A gymnasium id, or `module:Class` of an environment that is installed here."""
    episodes: Annotated[int, Ge(2), Le(100_000)] = 100
    """Number of games, each with a seed of its own."""
    steps: Annotated[int, Ge(16), Le(10_000)] = 256
    """Most actions in an episode: the game may be over sooner."""
    width: Annotated[Side, More("Frames")] = 64
    """Frame width in pixels, a multiple of 4."""
    height: Annotated[Side, More("Frames")] = 64
    """Frame height in pixels, a multiple of 4."""
    frame_skip: Annotated[int, Ge(1), Le(16), More("Actions")] = 1
    """Steps of the environment that one action lasts."""
    sticky: Annotated[float, Ge(0), Le(0.99), More("Actions")] = 0.7
    """Probability that the last action is repeated."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Splits and seeds")] = 0
    """Seed of the first game."""
    val_fraction: Annotated[float, Ge(0), Le(0.5), More("Splits and seeds")] = 0.1
    """Share of the episodes held out for validation: the last ones, so that no seed is in both splits."""


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Turn recordings made elsewhere into a dataset (worlds/episodes/sources). On the command line only: `path` is
    a folder of this machine, which no HTTP client may name."""

    __pydantic_config__ = CONFIG
    kind: Literal["dataset.import"] = "dataset.import"
    source: Literal["gamefactory", "minerl", "vpt"]
    """Format of the recordings."""
    path: Annotated[str, MinLen(1)]
    """Folder of the recordings."""
    width: Side = 64
    """Frame width in pixels, a multiple of 4."""
    height: Side = 64
    """Frame height in pixels, a multiple of 4."""
    stride: Annotated[int, Ge(1), Le(16)] = 3
    """Steps of the source that become one."""
    max_yaw_deg: Annotated[float, Gt(0), Le(180)] = 24.0
    """Turn in one frame, after the stride, that yaw = 1 stands for; faster turns are clipped."""
    max_pitch_deg: Annotated[float, Gt(0), Le(180)] = 24.0
    """The same for pitch."""
    val_fraction: Annotated[float, Ge(0), Le(0.5)] = 0.05
    """Share of the recordings held out for validation, by world."""


@dataclass(frozen=True, kw_only=True)
class ImportPlayConfig:
    """Turn recorded play into a dataset: with the pictures that the simulator draws for what was pressed, or with
    those of the model that was played."""

    __pydantic_config__ = CONFIG
    kind: Literal["dataset.import-play"] = "dataset.import-play"
    plays: Annotated[tuple[Annotated[str, Input("play")], ...], MaxLen(1000)] = ()
    """Which recordings; if none is named, all that were made here."""
    pictures: Literal["simulator", "model"] = "simulator"
    """Whose pictures become the frames."""
    width: Annotated[Side, More("Frames")] = 64
    """Frame width in pixels, a multiple of 4."""
    height: Annotated[Side, More("Frames")] = 64
    """Frame height in pixels, a multiple of 4."""
    val_fraction: Annotated[float, Ge(0), Le(0.5), More("Splits and seeds")] = 0.05
    """Share of the recordings held out for validation, by world seed."""


def record_debug() -> RecordConfig:
    """Six short walks in small frames: tries everything out."""
    return RecordConfig(world="plains", episodes=6, steps=24, width=32, height=32, val_fraction=0.34)


def record_cpu() -> RecordConfig:
    """200 walks, enough to train a small world model on a CPU."""
    return RecordConfig()


def record_ochre() -> RecordConfig:
    """2000 walks in wide frames, for a large world model on a GPU."""
    return RecordConfig(width=128, height=72, episodes=2000)


def record_gym_debug() -> RecordGymConfig:
    """Six short games in small frames: tries everything out."""
    return RecordGymConfig(episodes=6, steps=24, width=32, height=32, val_fraction=0.34)


def record_gym_cpu() -> RecordGymConfig:
    """100 games, enough to train a small world model on a CPU."""
    return RecordGymConfig()


def record_gym_small() -> RecordGymConfig:
    """2000 games, for a world model trained on a GPU."""
    return RecordGymConfig(episodes=2000)


def import_debug() -> ImportConfig:
    return ImportConfig(source="gamefactory", path="-", width=32, height=32, val_fraction=0.34)


def import_small() -> ImportConfig:
    return ImportConfig(source="gamefactory", path="-")


def import_ochre() -> ImportConfig:
    return ImportConfig(source="gamefactory", path="-", width=128, height=72)


def import_play_debug() -> ImportPlayConfig:
    """Small frames: tries everything out."""
    return ImportPlayConfig(width=32, height=32, val_fraction=0.34)


def import_play_cpu() -> ImportPlayConfig:
    """Frames of the size that the shipped world model plays in."""
    return ImportPlayConfig()


def import_play_ochre() -> ImportPlayConfig:
    """Wide frames, for a large world model."""
    return ImportPlayConfig(width=128, height=72)


def recorded_facts(config: RecordConfig, manifests: Manifests) -> dict[str, Any]:
    return {"frame_size": [config.height, config.width], "source": {"kind": "blocks"}}


def recorded_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """uint8 frames, and columns of actions and pose in float32."""
    frames = config["episodes"] * (config["steps"] + 1)
    return frames * (config["height"] * config["width"] * 3 + 4 * 16)


def played_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """As many frames as were played, which is at 64x64 as a rule, in another size."""
    return frame_bytes * config["height"] * config["width"] // (64 * 64)


KINDS = {
    "dataset.record": JobKind(
        config=RecordConfig,
        recipe="terrarium.worlds.episodes.record:record_dataset",
        makes="dataset",
        queue="cpu",
        title="Record a dataset",
        promises=recorded_facts,
        estimate=recorded_bytes,
        presets={"debug": record_debug, "cpu": record_cpu, "small": record_cpu, "ochre": record_ochre},
    ),
    "dataset.record-gym": JobKind(
        config=RecordGymConfig,
        recipe="terrarium.worlds.episodes.sources.gym_recipe:record_gym",
        makes="dataset",
        queue="cpu",
        title="Record a game",
        estimate=recorded_bytes,
        presets={"debug": record_gym_debug, "cpu": record_gym_cpu, "small": record_gym_small},
    ),
    "dataset.import": JobKind(
        config=ImportConfig,
        recipe="terrarium.worlds.episodes.sources.recipe:import_dataset",
        makes="dataset",
        queue="cpu",
        title="Import recordings",
        presets={"debug": import_debug, "cpu": import_small, "small": import_small, "ochre": import_ochre},
        http=False,
    ),
    "dataset.import-play": JobKind(
        config=ImportPlayConfig,
        recipe="terrarium.worlds.episodes.sources.recipe:import_dataset",
        makes="dataset",
        queue="cpu",
        title="Make a dataset of recorded play",
        estimate=played_bytes,
        presets={
            "debug": import_play_debug,
            "cpu": import_play_cpu,
            "small": import_play_cpu,
            "ochre": import_play_ochre,
        },
        fits=play_misfits,
    ),
}

ASSETS = {
    "dataset": AssetType(
        files=r"manifest\.json|episodes/\w[\w.-]*/(frames|actions|pose)\.npy",
        content="manifest.json",  # holds the hash of every file
        check="terrarium.worlds.episodes.manifest:check_dataset",
        opens="terrarium.worlds.episodes.format:open_dataset",
    ),
}
