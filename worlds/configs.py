"""Every job's config, torch-free: the same dataclass is the REST body, the CLI's flags and the record in a checkpoint.

`data`, `tokenizer` and `checkpoint` name inputs. Over HTTP they are ids (the gateway checks that they exist);
on the command line they are folders. The worker turns ids into folders before a recipe sees them.
Presets are plain functions; `PRESETS[kind][name]()` returns a config.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import StringConstraints

FORBID_EXTRA: Any = {"extra": "forbid"}
Terrain = Literal["mixed", "plains", "desert", "forest", "lake", "hills"]
Fraction = Annotated[float, Ge(0), Le(1)]
InputId = Annotated[str, MinLen(1)]
FileName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$", max_length=100)]  # never a path: it comes over HTTP


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """Walk the block world and record episodes. Every episode has its own world seed: `seed`, `seed + 1`, ...

    On the command line `world` may also be the path of a map.json: one world, the seed says where a walk starts.
    """

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["dataset.record"] = "dataset.record"
    world: Terrain = "mixed"
    episodes: Annotated[int, Ge(2), Le(100_000)] = 200
    steps: Annotated[int, Ge(16), Le(10_000)] = 256  # actions an episode; frames = steps + 1
    width: Annotated[int, Ge(16), Le(256)] = 64
    height: Annotated[int, Ge(16), Le(256)] = 64
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    val_fraction: Annotated[float, Ge(0), Le(0.5)] = 0.05  # the last episodes, so split by seed


@dataclass(frozen=True, kw_only=True)
class RecordGymConfig:
    """Play a game at random and record episodes. `env` is an id that gymnasium knows, or `module:Class`; it needs
    discrete actions, and a picture as its observation or from `render()`."""

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["dataset.record-gym"] = "dataset.record-gym"
    env: Annotated[str, MinLen(1), MaxLen(200)] = "crafter:Env"
    episodes: Annotated[int, Ge(2), Le(100_000)] = 100
    steps: Annotated[int, Ge(16), Le(10_000)] = 256  # most actions an episode: the game may be over sooner
    width: Annotated[int, Ge(16), Le(256)] = 64
    height: Annotated[int, Ge(16), Le(256)] = 64
    frame_skip: Annotated[int, Ge(1), Le(16)] = 1  # steps of the environment that an action lasts
    sticky: Annotated[float, Ge(0), Le(0.99)] = 0.7  # probability that the last action is taken once more
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    val_fraction: Annotated[float, Ge(0), Le(0.5)] = 0.1  # the last episodes, so split by seed


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Turn recordings made elsewhere into a dataset (worlds/world_model/sources). On the command line only: `path` is
    a folder of this machine, which no HTTP client may name."""

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["dataset.import"] = "dataset.import"
    source: Literal["gamefactory", "minerl", "vpt"]
    path: Annotated[str, MinLen(1)]
    width: Annotated[int, Ge(16), Le(256)] = 64
    height: Annotated[int, Ge(16), Le(256)] = 64
    stride: Annotated[int, Ge(1), Le(16)] = 3  # steps of the source that become one
    max_yaw_deg: Annotated[float, Gt(0), Le(180)] = 24.0  # the turn in one frame that yaw = 1 stands for, see stride
    max_pitch_deg: Annotated[float, Gt(0), Le(180)] = 24.0
    val_fraction: Annotated[float, Ge(0), Le(0.5)] = 0.05  # of the recordings, by world


@dataclass(frozen=True, kw_only=True)
class ImportPlayConfig:
    """Turn recorded play into a dataset: with the pictures that the simulator draws for what was pressed, or with
    those of the model that was played."""

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["dataset.import-play"] = "dataset.import-play"
    plays: tuple[InputId, ...] = ()  # none named: all
    pictures: Literal["simulator", "model"] = "simulator"
    width: Annotated[int, Ge(16), Le(256)] = 64
    height: Annotated[int, Ge(16), Le(256)] = 64
    val_fraction: Annotated[float, Ge(0), Le(0.5)] = 0.05  # of the recordings, by world seed


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """VQ-VAE on frames: 4x down, then one code a cell (`ema_vq`: EMA codebook; `fsq`: finite scalar levels)."""

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["tokenizer.train"] = "tokenizer.train"
    data: InputId
    quantiser: Literal["ema_vq", "fsq"] = "fsq"
    codes: Annotated[int, Ge(8), Le(65_536)] = 512  # codebook size, ema_vq
    code_dim: Annotated[int, Ge(2), Le(64)] = 16  # ema_vq
    levels: tuple[Annotated[int, Ge(2), Le(16)], ...] = (8, 5, 5, 5)  # fsq
    perceptual: Annotated[float, Ge(0), Le(100)] = 0.0  # weight of LPIPS (worlds/pictures/perceptual.py)
    perceptual_trunk: Literal["random", "vgg", "alex", "squeeze"] = "random"
    perceptual_weights: FileName | None = None  # in torch.hub's folder of checkpoints; none: the published file
    channels: Annotated[int, Ge(8), Le(512)] = 32
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 600
    batch: Annotated[int, Ge(1), Le(4096)] = 32
    accumulate: Annotated[int, Ge(1), Le(256)] = 1  # parts in which a batch is computed, to save memory
    lr: Annotated[float, Ge(0), Le(1)] = 1e-3
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    checkpoint_every_s: Annotated[float, Ge(0)] = 60.0
    log_every: Annotated[int, Ge(1)] = 10


@dataclass(frozen=True, kw_only=True)
class WorldModelConfig:
    """ConvGRU dynamics on a tokenizer's codes (worlds/world_model/dynamics.py)."""

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["world-model.train"] = "world-model.train"
    data: InputId
    tokenizer: InputId  # or a world model, whose tokenizer is meant
    start: InputId | None = None  # a world model of this shape and tokenizer to go on from; none: from random weights
    channels: Annotated[int, Ge(8), Le(1024)] = 64
    layers: Annotated[int, Ge(1), Le(16)] = 2
    flow: bool = True  # move h and the picture by a bounded, learned, zero-initialised flow in each step
    flow_context: bool = True  # the picture's flow sees what lies up to six cells around
    moving: bool = True  # show the moved picture where it serves; else codes alone make every picture
    reset: Literal["after", "before"] = "after"  # before: the original ConvGRU, with two recurrent convolutions
    film: Literal["place", "uniform", "paths"] = "place"  # uniform: means the same everywhere; paths: camera apart
    recent: Annotated[int, Ge(0), Le(16)] = 0  # last states that each cell attends over
    margin: Annotated[int, Ge(0), Le(256)] = 32  # pixels remembered to the left and to the right of the picture
    burn_in: Annotated[int, Ge(1), Le(64)] = 4  # real frames before a self-rollout
    horizon: Annotated[int, Ge(1), Le(64)] = 8  # longest self-rollout on sampled tokens
    rollout_fraction: Fraction = 0.4  # batches that end in a self-rollout
    frames: Annotated[int, Ge(4), Le(128)] = 12  # frames a training clip
    corruption: Fraction = 0.3  # token corruption p ~ U(0, corruption)
    cross_entropy: Annotated[float, Ge(0), Le(100)] = 1.0  # weight of the main loss
    refine: Annotated[float, Ge(0), Le(100)] = 1.0  # weight of hidden codes given the others
    action_contrast: Annotated[float, Ge(0), Le(100)] = 0.0  # weight of telling the action from three others
    soft: Annotated[float, Ge(0), Le(100)] = 0.0  # weight of soft codes' embedding and decoded picture (Gumbel softmax)
    echo: Annotated[float, Ge(0), Le(100)] = 0.0  # weight of an inverse-dynamics head on the states
    changed_weight: Annotated[float, Ge(1), Le(10)] = 2.0  # loss weight of tokens that change
    photometric: Annotated[float, Ge(0), Le(100)] = 10.0  # weight of the moved picture's difference to the next
    composed: Annotated[float, Ge(0), Le(100)] = 10.0  # weight of the composed picture's difference to the next
    contrast: Annotated[float, Ge(0), Le(100)] = 10.0  # weight of its local contrast's difference to the next's
    blur: Fraction = 0.5  # of the clips are shown blurred, to be drawn sharp
    rare_share: Fraction = 0.3  # of the clips hold a change of a key that is seldom pressed
    action_dropout: Fraction = 0.1
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 450
    batch: Annotated[int, Ge(1), Le(4096)] = 8
    accumulate: Annotated[int, Ge(1), Le(256)] = 1  # parts in which a batch is computed, to save memory
    lr: Annotated[float, Ge(0), Le(1)] = 1.5e-3
    ema: Fraction = 0.99
    compile: bool = False  # torch.compile on the recurring parts; pays from about 500 steps on, needs a C++ compiler
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    checkpoint_every_s: Annotated[float, Ge(0)] = 60.0
    log_every: Annotated[int, Ge(1)] = 10


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """The evaluation's judge of keys (worlds/world_model/judge). On the command line only."""

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["judge.train"] = "judge.train"
    data: InputId
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 4000
    batch: Annotated[int, Ge(1), Le(4096)] = 64
    lr: Annotated[float, Ge(0), Le(1)] = 2e-3
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    checkpoint_every_s: Annotated[float, Ge(0)] = 60.0
    log_every: Annotated[int, Ge(1)] = 50


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Measure a world model against the simulator on held-out seeds (worlds/world_model/evaluation/recipe.py)."""

    __pydantic_config__ = FORBID_EXTRA
    kind: Literal["world-model.evaluate"] = "world-model.evaluate"
    checkpoint: InputId
    episodes: Annotated[int, Ge(1), Le(10_000)] = 20
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 7


JobConfig = RecordConfig | RecordGymConfig | ImportPlayConfig | TokenizerConfig | WorldModelConfig | EvaluateConfig
CONFIGS: dict[str, type] = {
    "dataset.record": RecordConfig,
    "dataset.record-gym": RecordGymConfig,
    "dataset.import-play": ImportPlayConfig,
    "tokenizer.train": TokenizerConfig,
    "world-model.train": WorldModelConfig,
    "world-model.evaluate": EvaluateConfig,
}
# Which config fields name an input, and what kind of thing each names.
INPUTS = {
    "plays": "plays",
    "data": "dataset",
    "tokenizer": "tokenizer",
    "start": "world-model",
    "checkpoint": "world-model",
}


def record_debug() -> RecordConfig:
    return RecordConfig(world="plains", episodes=6, steps=24, width=32, height=32, val_fraction=0.34)


def record_cpu() -> RecordConfig:
    return RecordConfig()


def record_ochre() -> RecordConfig:
    return RecordConfig(width=128, height=72, episodes=2000)


def record_gym_debug() -> RecordGymConfig:
    return RecordGymConfig(episodes=6, steps=24, width=32, height=32, val_fraction=0.34)


def record_gym_cpu() -> RecordGymConfig:
    return RecordGymConfig()


def record_gym_small() -> RecordGymConfig:
    return RecordGymConfig(episodes=2000)


def import_debug() -> ImportConfig:
    return ImportConfig(source="gamefactory", path="-", width=32, height=32, val_fraction=0.34)


def import_small() -> ImportConfig:
    return ImportConfig(source="gamefactory", path="-")


def import_ochre() -> ImportConfig:
    return ImportConfig(source="gamefactory", path="-", width=128, height=72)


def import_play_debug() -> ImportPlayConfig:
    return ImportPlayConfig(width=32, height=32, val_fraction=0.34)


def import_play_ochre() -> ImportPlayConfig:
    return ImportPlayConfig(width=128, height=72)


def tokenizer_debug(data: str = "-") -> TokenizerConfig:
    return TokenizerConfig(data=data, codes=64, channels=16, steps=20, batch=8, log_every=1)


def tokenizer_cpu(data: str = "-") -> TokenizerConfig:
    return TokenizerConfig(data=data)


def tokenizer_ochre(data: str = "-") -> TokenizerConfig:
    return TokenizerConfig(data=data, codes=1024, code_dim=32, channels=128, steps=60_000, batch=64)


def world_model_debug(data: str = "-", tokenizer: str = "-") -> WorldModelConfig:
    return WorldModelConfig(
        data=data, tokenizer=tokenizer, channels=16, steps=10, batch=4, frames=6, burn_in=3, horizon=2, log_every=1
    )


def world_model_cpu(data: str = "-", tokenizer: str = "-") -> WorldModelConfig:
    return WorldModelConfig(data=data, tokenizer=tokenizer)


def world_model_ochre_v6(data: str = "-", tokenizer: str = "-") -> WorldModelConfig:
    """The prior art's recipe at the size of `cpu`: reset-before, uniform FiLM, attention over recent states, no flow,
    no cross-entropy, soft-decoded losses and an inverse-dynamics head on the states."""
    return replace(
        world_model_cpu(data, tokenizer),
        flow=False,
        moving=False,
        margin=0,
        reset="before",
        film="uniform",
        recent=4,
        cross_entropy=0.0,
        refine=0.0,
        soft=1.0,
        echo=0.2,
        photometric=0.0,
        composed=0.0,
        contrast=0.0,
        blur=0.0,
        rollout_fraction=0.0,
        corruption=0.0,
        rare_share=0.0,
    )


def world_model_small(data: str = "-", tokenizer: str = "-") -> WorldModelConfig:
    return replace(
        world_model_cpu(data, tokenizer), channels=192, layers=3, steps=30_000, batch=64, horizon=8, frames=16
    )


def world_model_ochre(data: str = "-", tokenizer: str = "-") -> WorldModelConfig:
    return replace(world_model_small(data, tokenizer), channels=512, layers=6, steps=200_000, batch=16)


def judge_debug(data: str = "-") -> JudgeConfig:
    return JudgeConfig(data=data, steps=5, batch=8, log_every=1)


def judge_cpu(data: str = "-") -> JudgeConfig:
    return JudgeConfig(data=data)


PRESETS: dict[str, dict[str, Callable[..., JobConfig | ImportConfig | JudgeConfig]]] = {
    "dataset.record": {"debug": record_debug, "cpu": record_cpu, "small": record_cpu, "ochre": record_ochre},
    "dataset.record-gym": {"debug": record_gym_debug, "cpu": record_gym_cpu, "small": record_gym_small},
    "dataset.import": {"debug": import_debug, "cpu": import_small, "small": import_small, "ochre": import_ochre},
    "dataset.import-play": {
        "debug": import_play_debug,
        "cpu": ImportPlayConfig,
        "small": ImportPlayConfig,
        "ochre": import_play_ochre,
    },
    "tokenizer.train": {
        "debug": tokenizer_debug,
        "cpu": tokenizer_cpu,
        "small": tokenizer_cpu,
        "ochre": tokenizer_ochre,
    },
    "world-model.train": {
        "debug": world_model_debug,
        "cpu": world_model_cpu,
        "small": world_model_small,
        "ochre": world_model_ochre,
        "ochre_v6": world_model_ochre_v6,
    },
    "world-model.evaluate": {},
    "judge.train": {"debug": judge_debug, "cpu": judge_cpu},
}
