"""Kinds of jobs that train and measure world models: their configs, presets and rows. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen, MultipleOf
from pydantic import StringConstraints

from terrarium.worlds.kinds import CONFIG, AssetType, Conflict, Input, JobKind, Manifests, More
from terrarium.worlds.world_model.fits import evaluation_misfits, tokenizer_misfits, world_model_misfits

MOST_CODES = 2**16  # they are kept in two bytes each
Fraction = Annotated[float, Ge(0), Le(1)]
FileName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$", max_length=100)]  # never a path: it comes over HTTP


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """VQ-VAE on frames: 4x down, then one code a cell (`ema_vq`: EMA codebook; `fsq`: finite scalar levels)."""

    __pydantic_config__ = CONFIG
    kind: Literal["tokenizer.train"] = "tokenizer.train"
    data: Annotated[str, Input("dataset")]
    """Frames to train on."""
    quantiser: Annotated[Literal["ema_vq", "fsq"], More("Codes")] = "fsq"
    """How a cell becomes a code."""
    codes: Annotated[int, Ge(8), Le(65_536), More("Codes")] = 512
    """Codebook size of ema_vq."""
    code_dim: Annotated[int, Ge(2), Le(64), More("Codes")] = 16
    """Channels of a code of ema_vq."""
    levels: Annotated[tuple[Annotated[int, Ge(2), Le(16)], ...], MinLen(1), MaxLen(16), More("Codes")] = (8, 5, 5, 5)
    """Levels of each channel of fsq; their product is the number of codes, at most 65536."""
    perceptual: Annotated[float, Ge(0), Le(100), More("Perceptual loss")] = 0.0
    """Loss weight of LPIPS; 0 leaves it out."""
    perceptual_trunk: Annotated[Literal["random", "vgg", "alex", "squeeze"], More("Perceptual loss")] = "random"
    """Network whose features LPIPS compares."""
    perceptual_weights: Annotated[FileName | None, More("Perceptual loss")] = None
    """File in torch.hub's folder of checkpoints. If omitted, the published file."""
    channels: Annotated[int, Ge(8), Le(512), MultipleOf(8)] = 32
    """Width of the network, in groups of 8 channels."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 600
    """Optimiser steps."""
    batch: Annotated[int, Ge(1), Le(4096), More("Optimisation")] = 32
    """Frames in a step."""
    accumulate: Annotated[int, Ge(1), Le(256), More("Optimisation")] = 1
    """Equal parts in which a batch is computed, to save memory."""
    lr: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 1e-3
    """Peak learning rate."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Optimisation")] = 0
    """Seed of the weights and of the batches."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 60.0
    """Seconds between saved training states."""
    log_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 10
    """Steps between reported metrics."""

    def __post_init__(self) -> None:
        if prod(self.levels) > MOST_CODES:
            raise Conflict("levels", f"{self.levels} are {prod(self.levels)} codes, expected at most {MOST_CODES}")
        _in_equal_parts(self.batch, self.accumulate)


@dataclass(frozen=True, kw_only=True)
class WorldModelConfig:
    """ConvGRU dynamics on a tokenizer's codes: predicts the next frame from those before it and the keys.

    Code: worlds/world_model/dynamics.py.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["world-model.train"] = "world-model.train"
    data: Annotated[str, Input("dataset")]
    """Episodes to train on."""
    tokenizer: Annotated[str, Input("tokenizer", "world-model")] | None = None
    """The tokenizer, or a world model whose tokenizer is used. If omitted, that of `start`, or one is trained first."""
    tokenizer_channels: Annotated[int, Ge(8), Le(512), MultipleOf(8), More("First stage")] = 32
    """Width of the tokenizer that is trained first."""
    tokenizer_steps: Annotated[int, Ge(1), Le(10_000_000), More("First stage")] = 600
    """Optimiser steps of the tokenizer that is trained first."""
    start: Annotated[str, Input("world-model")] | None = None
    """World model of this shape and tokenizer to continue from. If omitted, training starts from random weights."""
    channels: Annotated[int, Ge(8), Le(1024), MultipleOf(2)] = 64
    """Channels of the recurrent state, half of which follow one flow and half another."""
    layers: Annotated[int, Ge(1), Le(16), More("Network")] = 2
    """ConvGRU layers."""
    flow: Annotated[bool, More("Network")] = True
    """Warp the state and the picture in each step by a bounded, learned, zero-initialised flow."""
    flow_context: Annotated[bool, More("Network")] = True
    """Let the picture's flow see up to six cells around."""
    moving_camera: Annotated[bool, More("Network")] = False
    """Move the picture as a camera does, through depths that are predicted; block worlds alone."""
    moving: Annotated[bool, More("Network")] = True
    """Show the warped picture where it serves; otherwise every picture is decoded from codes alone."""
    reset: Annotated[Literal["after", "before"], More("Network")] = "after"
    """Where the reset gate acts; before: the original ConvGRU, with two recurrent convolutions."""
    film: Annotated[Literal["place", "uniform", "paths"], More("Network")] = "place"
    """How actions modulate the state: per place, the same everywhere, or the camera on a path of its own."""
    recent: Annotated[int, Ge(0), Le(16), More("Network")] = 0
    """Last states that each cell attends over."""
    margin: Annotated[int, Ge(0), Le(256), More("Network")] = 32
    """Pixels remembered to the left and to the right of the picture."""
    views: Annotated[int, Ge(0), Le(256), More("Network")] = 32
    """Views remembered all around while the player stays in place. Sources that do not tell their camera have none."""
    burn_in: Annotated[int, Ge(2), Le(64), More("Clips and rollouts")] = 4
    """Real frames before a self-rollout, fewer than `frames`."""
    horizon: Annotated[int, Ge(1), Le(64), More("Clips and rollouts")] = 8
    """Longest self-rollout on sampled tokens, in frames."""
    rollout_fraction: Annotated[Fraction, More("Clips and rollouts")] = 0.4
    """Share of the batches that end in a self-rollout."""
    frames: Annotated[int, Ge(4), Le(128), More("Clips and rollouts")] = 12
    """Frames in a training clip."""
    corruption: Annotated[Fraction, More("Clips and rollouts")] = 0.3
    """Tokens are corrupted with a probability drawn from 0 to this."""
    cross_entropy: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 1.0
    """Weight of the main loss."""
    refine: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 1.0
    """Loss weight of hidden codes, given the others."""
    action_contrast: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 0.0
    """Loss weight of telling the action from three others."""
    soft: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 0.0
    """Loss weight of the embedding and the decoded picture of soft codes (Gumbel softmax)."""
    echo: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 0.0
    """Loss weight of an inverse-dynamics head on the states."""
    changed_weight: Annotated[float, Ge(1), Le(10), More("Loss weights")] = 2.0
    """Loss weight of tokens that change."""
    photometric: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 10.0
    """Loss weight of the warped picture's difference from the next."""
    composed: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 10.0
    """Loss weight of the composed picture's difference from the next."""
    contrast: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 10.0
    """Loss weight of the composed picture's local contrast against the next one's."""
    true_flow: Annotated[float, Ge(0), Le(100), More("Loss weights")] = 0.0
    """Loss weight of the flow's difference from the simulator's, which follows from its depths. Block worlds alone."""
    blur: Annotated[Fraction, More("Clips and rollouts")] = 0.5
    """Share of the clips shown blurred, to be drawn sharp."""
    rare_share: Annotated[Fraction, More("Clips and rollouts")] = 0.3
    """Share of the clips that hold a change of a key that is seldom pressed."""
    action_dropout: Annotated[Fraction, More("Clips and rollouts")] = 0.1
    """Share of the actions hidden in training, for guidance."""
    painter: Annotated[bool, More("Painter")] = True
    """Train a painter last, which redraws each frame so that long walks stay sharp."""
    keep_painter: Annotated[bool, More("Painter")] = False
    """Keep the painter of `start` as it is, in place of training one."""
    painter_channels: Annotated[int, Ge(3), Le(1024), MultipleOf(3), More("Painter")] = 48
    """Width of the painter at half the frame's resolution."""
    painter_warm_up: Annotated[int, Ge(1), Le(10_000_000), More("Painter")] = 400
    """Optimiser steps of the painter on damaged frames."""
    painter_steps: Annotated[int, Ge(1), Le(10_000_000), More("Painter")] = 1200
    """Optimiser steps of the painter and its discriminator on self-rollouts."""
    painter_lr: Annotated[float, Ge(0), Le(1), More("Painter")] = 3e-4
    """Learning rate of the painter; its discriminator's is twice that."""
    painter_walks: Annotated[int, Ge(1), Le(4096), More("Painter")] = 32
    """Self-rollouts in the pool."""
    painter_rows: Annotated[int, Ge(2), Le(4096), MultipleOf(2), More("Painter")] = 8
    """Of these, how many go on by a frame in each step."""
    painter_longest: Annotated[int, Ge(16), Le(10_000), More("Painter")] = 200
    """Frames after which a self-rollout ends."""
    steps: Annotated[int, Ge(0), Le(10_000_000)] = 450
    """Optimiser steps of the dynamics. 0 trains a painter for `start` alone."""
    batch: Annotated[int, Ge(1), Le(4096), More("Optimisation")] = 8
    """Clips in a step."""
    accumulate: Annotated[int, Ge(1), Le(256), More("Optimisation")] = 1
    """Equal parts in which a batch is computed, to save memory."""
    lr: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 1.5e-3
    """Peak learning rate."""
    ema: Annotated[Fraction, More("Optimisation")] = 0.99
    """Decay of the averaged weights, which are the ones kept."""
    compile: Annotated[bool, More("Optimisation")] = False
    """torch.compile on the recurring parts; pays from about 500 steps on, needs a C++ compiler."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Optimisation")] = 0
    """Seed of the weights and of the batches."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 60.0
    """Seconds between saved training states."""
    log_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 10
    """Steps between reported metrics."""

    def __post_init__(self) -> None:
        if self.burn_in >= self.frames:
            raise Conflict("burn_in", f"{self.burn_in} of the {self.frames} frames of a clip: expected fewer")
        if self.keep_painter and not (self.start and self.painter):
            raise Conflict("keep_painter", "true without a world model to start from, or without a painter")
        if not self.steps and (self.keep_painter or not (self.start and self.painter)):
            raise Conflict("steps", "0 without a world model to start from and a painter to train: nothing to do")
        if self.painter and not self.flow:
            raise Conflict("painter", "true without a flow: frames in which nothing moves are not painted")
        _in_equal_parts(self.batch, self.accumulate)


def _in_equal_parts(batch: int, accumulate: int) -> None:
    if batch % accumulate:
        raise Conflict("accumulate", f"{accumulate} parts of a batch of {batch}: expected a divisor")


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """The evaluation's judge of keys (worlds/world_model/judge). On the command line only."""

    __pydantic_config__ = CONFIG
    kind: Literal["judge.train"] = "judge.train"
    data: Annotated[str, Input("dataset")]
    """Episodes of the block world to train on."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 4000
    """Optimiser steps."""
    batch: Annotated[int, Ge(1), Le(4096)] = 64
    """Clips in a step."""
    lr: Annotated[float, Ge(0), Le(1)] = 2e-3
    """Peak learning rate."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    """Seed of the weights and of the batches."""
    checkpoint_every_s: Annotated[float, Ge(0)] = 60.0
    """Seconds between saved training states."""
    log_every: Annotated[int, Ge(1), Le(10_000_000)] = 50
    """Steps between reported metrics."""


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The evaluation's probe of what pictures show (worlds/world_model/probe). On the command line only."""

    __pydantic_config__ = CONFIG
    kind: Literal["probe.train"] = "probe.train"
    data: Annotated[str, Input("dataset")]
    """Episodes of the block world to train on; they bring the poses from which their labels are cast."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2000
    """Optimiser steps."""
    batch: Annotated[int, Ge(1), Le(4096)] = 64
    """Frames in a step."""
    lr: Annotated[float, Ge(0), Le(1)] = 3e-3
    """Peak learning rate."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    """Seed of the weights and of the batches."""
    checkpoint_every_s: Annotated[float, Ge(0)] = 60.0
    """Seconds between saved training states."""
    log_every: Annotated[int, Ge(1), Le(10_000_000)] = 50
    """Steps between reported metrics."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Measure a world model against the simulator on held-out seeds.

    Code: worlds/world_model/evaluation/recipe.py.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["world-model.evaluate"] = "world-model.evaluate"
    checkpoint: Annotated[str, Input("world-model")]
    """The world model to measure."""
    episodes: Annotated[int, Ge(1), Le(10_000)] = 20
    """Held-out states."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Held-out worlds")] = 7
    """Which held-out worlds."""


def tokenizer_debug(data: str = "-") -> TokenizerConfig:
    """A small tokenizer in 20 steps: tries everything out."""
    return TokenizerConfig(data=data, codes=64, channels=16, steps=20, batch=8, log_every=1)


def tokenizer_cpu(data: str = "-") -> TokenizerConfig:
    """A tokenizer for small frames, trained on a CPU."""
    return TokenizerConfig(data=data)


def tokenizer_ochre(data: str = "-") -> TokenizerConfig:
    """A wide tokenizer with 1024 codes, trained on a GPU."""
    return TokenizerConfig(data=data, codes=1024, code_dim=32, channels=128, steps=60_000, batch=64)


def world_model_debug(data: str = "-", tokenizer: str | None = None) -> WorldModelConfig:
    """A tiny world model in 10 steps: tries everything out, and learns nothing."""
    return WorldModelConfig(
        data=data,
        tokenizer=tokenizer,
        tokenizer_channels=16,
        tokenizer_steps=20,
        channels=16,
        steps=10,
        batch=4,
        frames=6,
        burn_in=3,
        horizon=2,
        painter_channels=12,
        painter_warm_up=2,
        painter_steps=4,
        painter_walks=4,
        painter_rows=2,
        log_every=1,
    )


def world_model_cpu(data: str = "-", tokenizer: str | None = None) -> WorldModelConfig:
    """A small world model, trained on a CPU."""
    return WorldModelConfig(data=data, tokenizer=tokenizer)


def world_model_ochre_v6(data: str = "-", tokenizer: str | None = None) -> WorldModelConfig:
    """The prior art's recipe at the size of `cpu`: reset-before, uniform FiLM, attention over recent states, no flow,
    no cross-entropy, soft-decoded losses and an inverse-dynamics head on the states, no painter."""
    return replace(
        world_model_cpu(data, tokenizer),
        flow=False,
        moving=False,
        painter=False,
        margin=0,
        views=0,
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


def world_model_small(data: str = "-", tokenizer: str | None = None) -> WorldModelConfig:
    """Three times as wide and trained far longer, on a GPU."""
    return replace(
        world_model_cpu(data, tokenizer),
        channels=192,
        layers=3,
        steps=30_000,
        batch=64,
        horizon=8,
        frames=16,
        painter_channels=96,
        painter_warm_up=2_000,
        painter_steps=20_000,
        painter_walks=128,
        painter_rows=32,
    )


def world_model_ochre(data: str = "-", tokenizer: str | None = None) -> WorldModelConfig:
    """The largest: six layers of 512 channels, on a large GPU."""
    return replace(
        world_model_small(data, tokenizer),
        tokenizer_channels=128,
        tokenizer_steps=60_000,
        channels=512,
        layers=6,
        steps=200_000,
        batch=16,
        painter_steps=50_000,
        painter_rows=16,
    )


def judge_debug(data: str = "-") -> JudgeConfig:
    return JudgeConfig(data=data, steps=5, batch=8, log_every=1)


def judge_cpu(data: str = "-") -> JudgeConfig:
    return JudgeConfig(data=data)


def probe_debug(data: str = "-") -> ProbeConfig:
    return ProbeConfig(data=data, steps=5, batch=8, log_every=1)


def probe_cpu(data: str = "-") -> ProbeConfig:
    return ProbeConfig(data=data)


def evaluation_of(id: str, manifest: dict[str, Any]) -> EvaluateConfig | None:
    """The evaluation that follows a training, where there is a simulator to measure against."""
    config = EvaluateConfig(checkpoint=id)
    return None if evaluation_misfits(config, {"checkpoint": manifest}) else config


def trained_facts(config: TokenizerConfig | WorldModelConfig, manifests: Manifests) -> dict[str, Any]:
    return {"data": manifests.get("data", {})}


STATE_BYTES = 3 * 16  # for each parameter: weights, their average and two moments, in three states while one is written


def tokenizer_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    return STATE_BYTES * tokenizer_parameters(config)


def first_tokenizer(config: WorldModelConfig) -> TokenizerConfig:
    """The training of the tokenizer that a config does without."""
    return TokenizerConfig(
        data=config.data,
        channels=config.tokenizer_channels,
        steps=config.tokenizer_steps,
        accumulate=config.accumulate,
        seed=config.seed,
        checkpoint_every_s=config.checkpoint_every_s,
        log_every=config.log_every,
    )


def world_model_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """States, those of a tokenizer trained first, and the codes of all frames: two bytes for 4x4 pixels of three."""
    given = config["tokenizer"] or config["start"]
    first = 0 if given else tokenizer_parameters(asdict(first_tokenizer(WorldModelConfig(**config))))
    states = STATE_BYTES * (world_model_parameters(config) + first)
    if config["painter"]:  # beside the world model and its average, which stay
        states = max(states, states // 2 + STATE_BYTES * painter_parameters(config) + 3 * walk_bytes(config))
    return states + frame_bytes // 24


def tokenizer_parameters(config: Mapping[str, Any]) -> int:
    """About as many as tokenizer.py makes."""
    return 230 * config["channels"] ** 2 + config["codes"] * config["code_dim"]


def world_model_parameters(config: Mapping[str, Any]) -> int:
    """About as many as dynamics.py makes."""
    c = config["channels"]
    return config["layers"] * (72 * c * c + 1800 * c) + 2500 * c + 60_000


def painter_parameters(config: Mapping[str, Any]) -> int:
    """About as many as painter.py and discriminator.py make."""
    c = config["painter_channels"]
    return 350 * c * c + 350 * c + 870_000


def walk_bytes(config: Mapping[str, Any]) -> int:
    """The pool that the painter is trained on, of frames of 128x72: states in fp32, pictures with margins."""
    row = config["layers"] * config["channels"] * 18 * 32 * 4 + 5 * 72 * (128 + 2 * config["margin"]) * 4
    return (config["painter_walks"] + 3) * row


KINDS = {
    "tokenizer.train": JobKind(
        config=TokenizerConfig,
        recipe="terrarium.worlds.world_model.train_tokenizer:train_tokenizer",
        makes="tokenizer",
        queue="gpu.train",
        several=True,
        title="Train a tokenizer",
        estimate=tokenizer_bytes,
        presets={"debug": tokenizer_debug, "cpu": tokenizer_cpu, "small": tokenizer_cpu, "ochre": tokenizer_ochre},
        fits=tokenizer_misfits,
        promises=trained_facts,
    ),
    "world-model.train": JobKind(
        config=WorldModelConfig,
        recipe="terrarium.worlds.world_model.train:train_world_model",
        makes="world-model",
        queue="gpu.train",
        several=True,
        title="Train a world model",
        estimate=world_model_bytes,
        presets={
            "debug": world_model_debug,
            "cpu": world_model_cpu,
            "small": world_model_small,
            "ochre": world_model_ochre,
            "ochre_v6": world_model_ochre_v6,
        },
        fits=world_model_misfits,
        promises=trained_facts,
        then=evaluation_of,
    ),
    "world-model.evaluate": JobKind(
        config=EvaluateConfig,
        recipe="terrarium.worlds.world_model.evaluation.recipe:evaluate_recipe",
        makes="evaluation",
        queue="gpu.generate",
        title="Evaluate a world model",
        presets={},
        fits=evaluation_misfits,
    ),
    "judge.train": JobKind(
        config=JudgeConfig,
        recipe="terrarium.worlds.world_model.judge.recipe:train_judge",
        makes="judge",
        queue="gpu.train",
        title="Train the judge of keys",
        presets={"debug": judge_debug, "cpu": judge_cpu},
        http=False,
    ),
    "probe.train": JobKind(
        config=ProbeConfig,
        recipe="terrarium.worlds.world_model.probe.recipe:train_probe",
        makes="probe",
        queue="gpu.train",
        title="Train the probe of pictures",
        presets={"debug": probe_debug, "cpu": probe_cpu},
        http=False,
    ),
}

ASSETS = {
    "tokenizer": AssetType(
        files=r"manifest\.json|model\.safetensors",
        content="model.safetensors",
        check="terrarium.worlds.world_model.manifest:check_tokenizer_folder",
        opens="terrarium.worlds.world_model.tokenizer:load_tokenizer",
    ),
    "world-model": AssetType(
        files=r"manifest\.json|model\.safetensors|evaluation\.json|starts\.npz",
        content="model.safetensors",
        check="terrarium.worlds.world_model.manifest:check_world_model_folder",
        opens="terrarium.worlds.world_model.live:check_playable",
    ),
}
