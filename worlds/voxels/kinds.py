"""The kinds of jobs that make block worlds and their priors: configs, presets and rows, and what a block world is as
an asset. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import StringConstraints

from terrarium.worlds.kinds import CONFIG, AssetType, Conflict, Input, JobKind, Manifests, More
from terrarium.worlds.voxels.fits import generate_misfits

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Fraction = Annotated[float, Ge(0), Le(1)]
Weight = Annotated[float, Ge(0), Le(1e6)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Make a block world by optimising a grid of half-transparent voxels until its pictures look as guidance wants.

    On the command line `target` may also be the path of a map.json or of a capture set's folder, `start` that of a
    map.json.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["world.generate"] = "world.generate"
    prompts: Annotated[tuple[Text, ...], MaxLen(16)] = ()
    """What to build, in words. Of several prompts each step follows one."""
    prompt_weights: Annotated[tuple[Annotated[float, Gt(0), Le(1e6)], ...], MaxLen(16), More("Prompts")] = ()
    """How often each prompt is followed, relative to the others. If omitted, all alike."""
    negative_prompt: Annotated[str, StringConstraints(max_length=500), More("Prompts")] = ""
    """What to avoid, in words."""
    target: Annotated[str, Input("block-world", "capture-set")] | None = None
    """The world to be rebuilt from its pictures, or a set of pictures of one, for guidance `target`."""
    start: Annotated[str, Input("block-world")] | None = None
    """A world to start from. If omitted, `init` says what the grid begins as."""
    guidance: Literal["target", "blocks", "sd", "sdxl"] = "target"
    """Where the pull comes from: pictures of a target, the small prior for blocks, or Stable Diffusion (XL)."""
    size: Annotated[int, Ge(8), Le(256), MultipleOf(8)] | None = None
    """Blocks along each side. If omitted, as many as `start` or `target` has, else 32."""
    init: Literal["ground_plane", "cube", "noise"] = "ground_plane"
    """What the grid begins as where there is no world to start from."""
    steps: Annotated[int, Ge(1), Le(1_000_000)] = 400
    """Optimiser steps at full size."""
    prior: Annotated[str, Input("voxel-prior"), More("Model")] | None = None
    """The prior of guidance `blocks`. If omitted, the one that comes with the project."""
    model: Annotated[ModelName | None, More("Model")] = None
    """Of sd and sdxl: a folder that diffusers saved, or an id on its hub. If omitted, the published base model."""
    local_files_only: Annotated[bool, More("Model")] = False
    """Never download a model."""
    lora: Annotated[ModelName | None, More("Model")] = None
    """Of sd and sdxl: a folder or hub id of LoRA weights."""
    dtype: Annotated[Literal["fp16", "bf16", "fp32"], More("Model")] = "fp16"
    """Precision of the diffusion model; on a CPU fp32 is used in place of fp16."""
    cfg: Annotated[float, Ge(0), Le(1000), More("Distillation")] = 7.5
    """Classifier-free guidance scale."""
    weighting: Annotated[Literal["sigma2", "sigma", "uniform", "fantasia3d"], More("Distillation")] = "sigma2"
    """Weight of the gradient by timestep."""
    schedule: Annotated[Literal["anneal", "plan", "uniform"], More("Distillation")] = "anneal"
    """How timesteps are drawn: down from `t_max`, the plan's two halves, or evenly."""
    t_max: Annotated[float, Gt(0), Le(1), More("Distillation")] = 0.98
    """Largest timestep, as a share of the diffusion's."""
    t_min: Annotated[float, Gt(0), Le(1), More("Distillation")] = 0.02
    """Smallest timestep, as a share of the diffusion's."""
    t_end: Annotated[float, Gt(0), Le(1), More("Distillation")] = 0.5
    """Largest timestep at the end of an annealed run."""
    view_prompts: Annotated[bool, More("Prompts")] = True
    """Add the side that is seen to a prompt: front, side, back or overhead view."""
    random_background: Annotated[bool, More("Distillation")] = True
    """For sd and sdxl: random plain backgrounds, so that the sky is not taken for a part of the world."""
    views: Annotated[int, Ge(1), Le(1000), More("Views")] = 24
    """Pictures of a target world, taken from all around and above."""
    views_per_step: Annotated[int, Ge(1), Le(1000), More("Views")] = 1
    """Pictures in a step, of views drawn at random."""
    image: Annotated[int, Ge(16), Le(1024), MultipleOf(8), More("Views")] = 128
    """Side of a rendered picture in pixels; a capture set brings its own."""
    coarse: Annotated[tuple[Annotated[int, Ge(2), Le(16)], ...], MaxLen(3), More("Coarse to fine")] = ()
    """Stages before the full size: by what each divides it, coarsest first, such as 4, 2."""
    coarse_steps: Annotated[tuple[Annotated[int, Ge(1), Le(1_000_000)], ...], MaxLen(3), More("Coarse to fine")] = ()
    """Optimiser steps of each of these stages."""
    lr: Annotated[float, Gt(0), Le(10), More("Optimisation")] = 0.1
    """Adam's learning rate, of logits."""
    material_lr: Annotated[float, Gt(0), Le(10), More("Optimisation")] | None = None
    """The same for the materials' logits. If omitted, `lr`."""
    hold: Annotated[Fraction, More("Optimisation")] = 0.0
    """Share of the run in which only materials change, so that what is there is not covered before it has its own."""
    settle: Annotated[Fraction, More("Optimisation")] = 0.0
    """Share of the run, at its end, in which pictures show the blocks to be exported, and only materials change."""
    finish: Annotated[int, Ge(0), Le(1000), More("Optimisation")] = 0
    """Most rounds, after the last step, of changing single blocks while pictures come nearer to the target's, or to
    those that guidance `blocks` draws anew."""
    temperature: Annotated[float, Gt(0), Le(100), More("Optimisation")] = 2.0
    """Temperature of the materials' softmax in the first step."""
    last_temperature: Annotated[float, Gt(0), Le(100), More("Optimisation")] = 0.5
    """Temperature in the last step; it changes linearly."""
    harden_from: Annotated[Fraction, More("Optimisation")] = 1.0
    """Share of the run after which pictures show the blocks that would be exported (straight-through); 1: never."""
    sparsity: Annotated[Weight, More("Regularisers")] = 1e-3
    """Loss weight of the mean occupancy."""
    entropy: Annotated[Weight, More("Regularisers")] = 1e-4
    """Loss weight of the materials' entropy."""
    entropy_from: Annotated[Fraction, More("Regularisers")] = 0.5
    """Share of the run after which the materials' entropy counts."""
    smoothness: Annotated[Weight, More("Regularisers")] = 0.0
    """Loss weight of differences between neighbouring voxels."""
    connectivity: Annotated[Weight, More("Regularisers")] = 0.0
    """Loss weight of voxels that float alone."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Optimisation")] = 0
    """Seed of the init and of the views."""
    log_every: Annotated[int, Ge(1), Le(1_000_000), More("Saving and reporting")] = 10
    """Steps between reported metrics."""
    image_every: Annotated[int, Ge(1), Le(1_000_000), More("Saving and reporting")] = 50
    """Steps between previews, and between the worlds of which the best is kept."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 60.0
    """Seconds between saved training states."""

    def __post_init__(self) -> None:
        if self.prompt_weights and len(self.prompt_weights) != len(self.prompts):
            found = f"{len(self.prompt_weights)} for {len(self.prompts)} prompts"
            raise Conflict("prompt_weights", f"{found}: expected one a prompt")
        if len(self.coarse) != len(self.coarse_steps):
            found = f"{len(self.coarse_steps)} for the {len(self.coarse)} stages of coarse"
            raise Conflict("coarse_steps", f"{found}: expected one a stage")
        if any(later >= first or first % later for first, later in zip(self.coarse, self.coarse[1:], strict=False)):
            raise Conflict("coarse", f"{self.coarse}: expected each a divisor of the one before")
        if self.hold + self.settle > 1:
            raise Conflict("settle", f"{self.settle} beside hold {self.hold}: expected at most 1 together")
        if self.t_min >= self.t_max:
            raise Conflict("t_min", f"{self.t_min}, not below t_max {self.t_max}")
        for factor in self.coarse:
            if self.size is not None and self.size % factor:
                raise Conflict("coarse", f"{factor} does not divide the size {self.size}")


def generate_debug(target: str = "-") -> GenerateConfig:
    """Ten steps on a small grid: tries everything out."""
    return GenerateConfig(
        target=target,
        steps=10,
        views=4,
        image=32,
        log_every=1,
        image_every=5,
        entropy_from=0.0,
        harden_from=0.8,
    )


def generate_cpu(target: str = "-") -> GenerateConfig:
    """A few minutes on a CPU."""
    return GenerateConfig(target=target, size=16)


def generate_rebuild(target: str = "-") -> GenerateConfig:
    """Rebuild a world from its pictures."""
    # Materials change more slowly than what is there, and stay soft for longer: faster ones settle on a wrong material,
    # and then the voxel that has it fades. What is still a mixture settles at the end. Smoothness fills what pictures
    # leave open, such as a block before its like. A hole before its like closes from its edges, slower than a run at
    # the logits that its voxels have by then: single blocks are changed last.
    return GenerateConfig(
        target=target,
        lr=0.2,
        material_lr=0.1,
        hold=0.1,
        settle=0.1,
        finish=40,
        views_per_step=4,
        smoothness=20.0,
        temperature=4.0,
        last_temperature=1.0,
    )


def generate_default(target: str = "-") -> GenerateConfig:
    """32 blocks a side, coarse to fine."""
    return GenerateConfig(target=target, size=32, coarse=(2,), coarse_steps=(300,), steps=700)


def generate_plan(target: str = "-") -> GenerateConfig:
    """The settings of the plan that this follows: Adam at 0.01, 500 steps of one view each, the `sigma` weighting."""
    return GenerateConfig(
        target=target, size=32, steps=500, lr=0.01, weighting="sigma", schedule="plan", entropy_from=0.0
    )


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Train a small diffusion model of pictures of captioned structures, which guides worlds made from words.

    Code: worlds/voxels/prior/model.py.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["prior.train"] = "prior.train"
    channels: Annotated[tuple[Annotated[int, Ge(8), Le(1024), MultipleOf(8)], ...], MinLen(2), MaxLen(4)] = (64, 128)
    """Width of the U-Net on its grids of cells, each half as fine as the one before; the first has 16 x 16."""
    text: Annotated[int, Ge(8), Le(1024), MultipleOf(8)] = 128
    """Width of the text encoder."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 40_000
    """Optimiser steps."""
    batch: Annotated[int, Ge(1), Le(4096), More("Optimisation")] = 16
    """Pictures in a step."""
    lr: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 1e-3
    """Peak learning rate."""
    ema: Annotated[float, Ge(0), Lt(1), More("Optimisation")] = 0.996
    """Share of the weights' average that each step keeps."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Optimisation")] = 0
    """Seed of the weights and of the pictures."""
    validate_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 1000
    """Steps between measurements on held-out structures."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 300.0
    """Seconds between saved training states, each with a sheet of samples."""
    log_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 50
    """Steps between reported metrics."""


def prior_debug() -> PriorConfig:
    """Ten steps of a tiny network: tries everything out."""
    return PriorConfig(channels=(8, 16), text=16, steps=10, batch=4, validate_every=5, log_every=1)


def prior_default() -> PriorConfig:
    """The shipped prior's: some hours on a CPU core."""
    return PriorConfig()


def generate_words(prompt: str = "a large stone castle with four towers") -> GenerateConfig:
    """From words, guided by a prior for blocks: 16 blocks a side."""
    return GenerateConfig(
        guidance="blocks",
        prompts=(prompt,),
        size=16,
        steps=150,
        t_min=0.6,
        t_end=0.8,
        harden_from=0.75,
        finish=10,
        image_every=100,
    )


def generated_facts(config: GenerateConfig, manifests: Manifests) -> dict[str, Any]:
    return {"size": [config.size] * 3} if config.size is not None else {}


def generated_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """Two training states of eight logits a voxel, each with Adam's two moments, and the best grid."""
    side = config["size"] or 32
    return side**3 * 8 * 4 * (3 + 1) * 2


def prior_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """Weights, their average and two moments, in three states while one is written, of about as many parameters as
    prior/model.py makes."""
    parameters = 155 * sum(c * c for c in config["channels"]) + 17 * config["text"] ** 2
    return 3 * 16 * parameters


KINDS = {
    "world.generate": JobKind(
        config=GenerateConfig,
        recipe="terrarium.worlds.voxels.generate:generate",
        makes="block-world",
        queue="gpu.generate",
        title="Generate a world",
        presets={
            "debug": generate_debug,
            "cpu": generate_cpu,
            "rebuild": generate_rebuild,
            "default": generate_default,
            "plan": generate_plan,
            "words": generate_words,
        },
        fits=generate_misfits,
        promises=generated_facts,
        estimate=generated_bytes,
    ),
    "prior.train": JobKind(
        config=PriorConfig,
        recipe="terrarium.worlds.voxels.prior.recipe:train_prior",
        makes="voxel-prior",
        queue="gpu.train",
        title="Train a prior for blocks",
        presets={"debug": prior_debug, "default": prior_default},
        estimate=prior_bytes,
    ),
}

ASSETS = {
    "block-world": AssetType(
        files=r"(manifest|map)\.json|world\.glb|turntable\.mp4|thumbnail\.png|train\.jsonl",
        content="map.json",
        check="terrarium.worlds.voxels.manifest:check_world",
        opens="terrarium.worlds.voxels.world:open_world",
        alone="map.json",
        describe="terrarium.worlds.voxels.manifest:describe_world",
    ),
    "capture-set": AssetType(
        files=r"(manifest|metadata)\.json|(\w[\w.-]*/)*\w[\w.-]*\.png",
        content="manifest.json",  # holds the hash of every file
        check="terrarium.worlds.voxels.metadata:check_capture",
        opens="terrarium.worlds.voxels.capture:open_capture",
        alone="metadata.json",
        describe="terrarium.worlds.voxels.metadata:describe_capture",
    ),
}
