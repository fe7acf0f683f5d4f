"""The kinds of jobs that make generators of block worlds, and worlds with them: configs, presets, rows. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MultipleOf
from pydantic import StringConstraints

from terrarium.worlds.generators.fits import align_misfits, sample_misfits
from terrarium.worlds.kinds import CONFIG, Conflict, Input, JobKind, Manifests, More

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Place = Annotated[int, Ge(0), Le(256)]
Seed = Annotated[int, Ge(0), Le(2**31 - 1)]


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Train a diffusion model that turns words into block worlds, on captioned structures.

    Code: worlds/generators/model.py.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["generator.train"] = "generator.train"
    size: Annotated[int, Ge(16), Le(32), MultipleOf(2)] = 16
    """Blocks along each side of its worlds."""
    prediction: Literal["x0", "v", "flow"] = "x0"
    """What the network says: how likely each block is, the noise schedule's velocity, or that of a straight path."""
    patch: Annotated[int, Ge(1), Le(8), More("Model")] = 4
    """Blocks along each side of a token; a divisor of `size`."""
    width: Annotated[int, Ge(8), Le(4096), MultipleOf(2), More("Model")] = 128
    """Width of the transformer."""
    depth: Annotated[int, Ge(1), Le(64), More("Model")] = 6
    """Layers of the transformer."""
    heads: Annotated[int, Ge(1), Le(64), More("Model")] = 4
    """Attention heads; a divisor of `width`."""
    text: Annotated[int, Ge(8), Le(1024), MultipleOf(8), More("Model")] = 128
    """Width of the text encoder."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 5_000
    """Optimiser steps."""
    batch: Annotated[int, Ge(1), Le(4096), More("Optimisation")] = 16
    """Structures in a step."""
    lr: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 1e-3
    """Peak learning rate."""
    ema: Annotated[float, Ge(0), Lt(1), More("Optimisation")] = 0.998
    """Share of the weights' average that each step keeps."""
    seed: Annotated[Seed, More("Optimisation")] = 0
    """Seed of the weights and of the structures."""
    validate_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 500
    """Steps between measurements on held-out structures."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 300.0
    """Seconds between saved training states, each with a sheet of samples."""
    log_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 50
    """Steps between reported metrics."""

    def __post_init__(self) -> None:
        if self.size % self.patch:
            raise Conflict("patch", f"{self.patch} does not divide size {self.size}")
        if self.width % self.heads:
            raise Conflict("heads", f"{self.heads} does not divide width {self.width}")


def train_debug() -> GeneratorConfig:
    """Ten steps of a tiny network: tries everything out."""
    return GeneratorConfig(width=16, depth=2, heads=2, text=16, steps=10, batch=4, validate_every=5, log_every=1)


def train_shipped() -> GeneratorConfig:
    """The shipped generator's: under an hour of a CPU core."""
    return GeneratorConfig()


def train_large() -> GeneratorConfig:
    """Worlds of 32 blocks a side, for a GPU."""
    return GeneratorConfig(
        size=32, width=512, depth=12, heads=8, text=256, steps=200_000, batch=128, lr=3e-4, ema=0.9995
    )


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Draw a block world from words with a generator: seconds, not minutes.

    With `start`, blocks that are there stay: a box of them is dreamed anew, or more world around them.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["world.sample"] = "world.sample"
    prompt: Text
    """What to build, in words."""
    negative_prompt: Annotated[str, StringConstraints(max_length=500), More("Sampling")] = ""
    """What to avoid, in words."""
    generator: Annotated[str, Input("generator")] | None = None
    """What draws it. If omitted, the generator that comes with the project."""
    measurement: Annotated[int, Ge(1), Le(100_000), More("Sampling")] | None = None
    """The step of a measurement of an aligned `generator`, which then draws as it was. If omitted, as the best one."""
    adapter: Annotated[str, Input("generator"), More("Sampling")] | None = None
    """An aligned generator whose adapters draw beside the layers of `generator`, which must be their base."""
    start: Annotated[str, Input("block-world")] | None = None
    """A world whose blocks stay, outside of `dream`."""
    dream: Annotated[tuple[Place, ...], MaxLen(6), More("Parts of a world")] = ()
    """The box of `start` to be dreamed anew: x, y, z of its first block, then of the one past its last."""
    size: Annotated[int, Ge(16), Le(256), MultipleOf(2), More("Parts of a world")] | None = None
    """Blocks along x and z. More than the generator's are dreamed part by part, each beside what is there. If omitted,
    those of `start`, else the generator's."""
    sampler: Annotated[Literal["ddim", "ddpm", "dpm"], More("Sampling")] = "ddim"
    """How it goes from noise to a world: ddim, ddpm with fresh noise in each step, or dpm for few steps."""
    steps: Annotated[int, Ge(1), Le(1000)] = 20
    """Steps from noise to a world."""
    cfg: Annotated[float, Ge(0), Le(100), More("Sampling")] = 3.0
    """Classifier-free guidance scale."""
    eta: Annotated[float, Ge(0), Le(1), More("Sampling")] = 0.0
    """Share of fresh noise in a step of ddim."""
    seed: Seed = 0
    """Seed of the noise."""

    def __post_init__(self) -> None:
        if self.measurement is not None and self.generator is None and self.adapter is None:
            raise Conflict("measurement", f"{self.measurement} without a generator: expected an aligned one")
        if self.dream and self.start is None:
            raise Conflict("dream", f"{list(self.dream)} without a start: expected a world to change")
        if self.dream and len(self.dream) != 6:
            raise Conflict("dream", f"{list(self.dream)}: expected six numbers, x, y, z of two corners")
        if self.dream and any(a >= b for a, b in zip(self.dream[:3], self.dream[3:], strict=True)):
            raise Conflict("dream", f"{list(self.dream)}: expected the second corner beyond the first on each axis")
        if self.eta and self.sampler != "ddim":
            raise Conflict("eta", f"{self.eta} with sampler {self.sampler}: expected 0, or sampler ddim")


def sample_debug(prompt: str = "a large stone castle with four towers") -> SampleConfig:
    """Two steps: tries everything out."""
    return SampleConfig(prompt=prompt, steps=2)


def sample_default(prompt: str = "a large stone castle with four towers") -> SampleConfig:
    """Twenty steps of DDIM."""
    return SampleConfig(prompt=prompt)


def sample_quick(prompt: str = "a large stone castle with four towers") -> SampleConfig:
    """Eight steps of DPM-Solver++."""
    return SampleConfig(prompt=prompt, sampler="dpm", steps=8)


RewardName = Literal[
    "palette",
    "colour",
    "silhouette",
    "symmetry",
    "connectivity",
    "support",
    "depth_normals",
    "clip",
    "hps",
    "aesthetic",
    "normal",
]
OwnReward = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=200)]
Folder = Annotated[str, StringConstraints(min_length=1, max_length=4096), More("Weights of rewards")]
Material = Literal["Grass", "Dirt", "Stone", "Plank", "Snow", "Sand", "Water"]


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """Align a generator to a reward of its worlds: residual nabla-DB, or what it is compared with.

    Code: worlds/generators/objectives.py.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["generator.align"] = "generator.align"
    generator: Annotated[str, Input("generator")] | None = None
    """The base. If omitted, the generator that comes with the project."""
    prompts: Annotated[tuple[Text, ...], MaxLen(1000)] = ()
    """What it is asked for meanwhile. If omitted, captions of structures."""
    captions: Literal["whole", "class"] = "whole"
    """How much captions of structures say: all, or the class alone. What is said leaves a reward nothing to choose."""
    rewards: Annotated[tuple[RewardName, ...], MaxLen(11)] = ("palette",)
    """What worlds are to have more of."""
    own_rewards: Annotated[tuple[OwnReward, ...], MaxLen(8), More("Weights of rewards")] = ()
    """Rewards of your own, `module:Class`, of those that this Terrarium allows (TERRARIUM_ALLOWED_REWARDS)."""
    reward_weights: Annotated[tuple[Annotated[float, Gt(0), Le(1e6)], ...], MaxLen(19)] = ()
    """Weights of the rewards in their mean, own ones last. If omitted, all alike."""
    material: Material = "Stone"
    """The material of rewards palette and colour."""
    target: Annotated[str, Input("block-world")] | None = None
    """The world whose outline reward silhouette wants."""
    clip_model: Folder | None = None
    """Of reward clip: a folder on this machine with a CLIP that transformers saved."""
    hps_model: Folder | None = None
    """Of reward hps: the same with HPSv2's weights."""
    aesthetic_model: Folder | None = None
    """Of reward aesthetic: a folder with a CLIP and aesthetic.safetensors, the layers that mark its features."""
    normal_model: Folder | None = None
    """Of reward normal: a folder with a Marigold pipeline for normals that diffusers saved."""
    apply_angle_mask: Annotated[bool, More("Weights of rewards")] = False
    """Whether rewards normal and depth_normals leave out surfaces that are seen at a grazing angle."""
    reward_context: Annotated[bool, More("Weights of rewards")] = True
    """Whether the gradient of reward normal also flows through its estimate, to the picture."""
    reward_threshold: Annotated[float, More("Weights of rewards")] | None = None
    """Leave out prompts whose reward, found beforehand, has reached this value."""
    precomputed_rewards: (
        Annotated[str, StringConstraints(min_length=1, max_length=4096), More("Weights of rewards")] | None
    ) = None
    """Of `reward_threshold`: a .npy on this machine with a number for each prompt."""
    method: Literal["nabla", "refl", "draft", "ddpo"] = "nabla"
    """How the reward is followed."""
    steps: Annotated[int, Ge(1), Le(100_000)] = 64
    """Optimiser steps."""
    batch: Annotated[int, Ge(2), Le(1024), More("Optimisation")] = 8
    """Worlds in a step."""
    lr: Annotated[float, Gt(0), Le(1), More("Optimisation")] = 1e-3
    """Learning rate of the adapters."""
    warmup: Annotated[int, Ge(0), Le(100_000), More("Optimisation")] = 10
    """Steps over which the learning rate rises."""
    rank: Annotated[int, Ge(1), Le(256), More("Model")] = 4
    """Rank of the adapters."""
    reward_scale: Annotated[float, Gt(0), Le(1e9), More("nabla-DB")] = 2000.0
    """beta: how much the reward counts beside the base's likelihood. More is faster and higher, and worse elsewhere."""
    unet_reg_scale: Annotated[float, Ge(0), Le(1e9), More("nabla-DB")] = 0.0
    """Weight of the squared distance to the noise that was predicted one step before."""
    trust: Annotated[Literal["squared", "root", "none"], More("nabla-DB")] = "squared"
    """How far expected worlds are trusted at a noise level: as alphabar, as its root, or everywhere alike."""
    timestep_fraction: Annotated[float, Gt(0), Le(1), More("nabla-DB")] = 0.4
    """Share of the sampling steps that are learned from in a step; the last one always is."""
    reward_norm_clip: Annotated[bool, More("nabla-DB")] = True
    """Whether to clip outliers among the reward's gradients."""
    reward_norm_value: Annotated[float, Gt(0), Le(1e9), More("nabla-DB")] = 1.0
    """The norm above which a gradient is an outlier."""
    draft_steps: Annotated[int, Ge(1), Le(1000), More("Sampling")] = 1
    """Sampling steps through which draft takes the gradient (K)."""
    views: Annotated[int, Ge(1), Le(64), More("Sampling")] = 2
    """Pictures of a world, of which the reward is the mean."""
    memo_efficient_mode: Annotated[bool, More("Sampling")] = False
    """Show a reward two views at a time: the same gradient in less memory."""
    random_view: Annotated[float, Ge(0), Le(90), More("Sampling")] = 20.0
    """Degrees by which a camera is turned and raised at random."""
    sampling_steps: Annotated[int, Ge(2), Le(1000), More("Sampling")] = 20
    """Steps from noise to a world."""
    eta: Annotated[float, Gt(0), Le(1), More("Sampling")] = 1.0
    """Share of fresh noise in a sampling step; 1 is DDPM. Without any there is nothing to align."""
    cfg: Annotated[float, Ge(0), Le(100), More("Sampling")] = 1.0
    """Classifier-free guidance scale."""
    fd_budget: Annotated[float, Gt(0), Le(1e6), More("Budgets")] = 3.0
    """Stop where the Frechet distance is more than so many times the base's."""
    diversity_budget: Annotated[float, Ge(0), Le(1), More("Budgets")] = 0.85
    """Stop where the diversity is less than this share of the base's."""
    worlds: Annotated[int, Ge(4), Le(4096), More("Budgets")] = 128
    """Worlds that are drawn to measure reward, distance and diversity."""
    measure_every: Annotated[int, Ge(1), Le(100_000), More("Budgets")] = 8
    """Steps between measurements."""
    seed: Annotated[Seed, More("Optimisation")] = 0
    """Seed of the adapters, captions, noise and views."""
    vis_normal: Annotated[bool, More("Saving and reporting")] = False
    """Whether previews also show worlds by the normals of their surfaces."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 120.0
    """Seconds between saved training states."""
    log_every: Annotated[int, Ge(1), Le(100_000), More("Saving and reporting")] = 1
    """Steps between reported metrics."""

    def __post_init__(self) -> None:
        for field in ("rewards", "own_rewards"):
            names = getattr(self, field)
            if len(set(names)) < len(names):
                raise Conflict(field, f"{list(names)} names one twice")
        count = len(self.rewards + self.own_rewards)
        if not count:
            raise Conflict("rewards", "names none: expected some, or own_rewards")
        if self.reward_weights and len(self.reward_weights) != count:
            found = f"{len(self.reward_weights)} for {count} rewards"
            raise Conflict("reward_weights", f"{found}: expected one a reward")
        if (self.reward_threshold is None) != (self.precomputed_rewards is None):
            field = "reward_threshold" if self.reward_threshold is None else "precomputed_rewards"
            raise Conflict(field, "is missing: expected a threshold and a file of rewards, or neither")
        if self.reward_threshold is not None and not self.prompts:
            raise Conflict("prompts", "is empty: expected those that precomputed_rewards has numbers for")


def align_debug() -> AlignConfig:
    """Four steps on the shipped generator: tries everything out."""
    return AlignConfig(steps=4, batch=2, sampling_steps=4, views=1, worlds=16, measure_every=2)


def align_default() -> AlignConfig:
    """64 steps towards stone, by nabla-DB."""
    return AlignConfig()


def align_hps() -> AlignConfig:
    """Towards what people prefer, by HPSv2 from a folder of yours."""
    return AlignConfig(rewards=("hps",), views=4, memo_efficient_mode=True)


def align_aesthetic() -> AlignConfig:
    """Towards higher aesthetic marks, by a predictor from a folder of yours."""
    return AlignConfig(rewards=("aesthetic",), views=4, memo_efficient_mode=True)


def align_normal() -> AlignConfig:
    """Towards surfaces that look as they are: a normal estimator from a folder of yours, and depth against normals."""
    rewards: tuple[RewardName, ...] = ("normal", "depth_normals")
    return AlignConfig(rewards=rewards, views=4, memo_efficient_mode=True, apply_angle_mask=True)


def sampled_facts(config: SampleConfig, manifests: Manifests) -> dict[str, Any]:
    start = manifests.get("start", {}).get("size")
    if start is not None:
        return {"size": [config.size or start[0], start[1], config.size or start[2]]}
    height = manifests.get("generator", {}).get("model", {}).get("size")
    return {"size": [config.size or height, height, config.size or height]} if height is not None else {}


def generator_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """Weights, their average and two moments, in three states while one is written, of about as many parameters as
    model.py makes."""
    width, text, voxels = config["width"], config["text"], config["patch"] ** 3
    layer = 12 * width**2 + (width**2 + width * text)  # every other one attends to the words
    rest = 9 * width**2 + 2 * 8 * voxels * width + (config["size"] ** 3 // voxels) * width
    return 3 * 16 * (config["depth"] * layer + rest + 17 * text**2 + 160 * text)


def aligned_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """The whole generator, of which states hold the adapters alone, with their two moments; and of each measurement the
    adapters, twice while they are gathered, and a sheet of worlds."""
    adapters, measurements = 4 * 20_000 * config["rank"], -(-config["steps"] // config["measure_every"])
    return 8_000_000 + 3 * 4 * adapters + measurements * (2 * adapters + 200_000)


def sampled_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """The turntable, and of each solid block, a fifth of all, a line of map.json and some faces of the mesh."""
    side = config["size"] or 16
    return 200_000 + side * side * 16 // 5 * 200


KINDS = {
    "generator.train": JobKind(
        config=GeneratorConfig,
        recipe="terrarium.worlds.generators.train:train_generator",
        makes="generator",
        queue="gpu.train",
        title="Train a generator of worlds",
        presets={"debug": train_debug, "shipped": train_shipped, "large": train_large},
        estimate=generator_bytes,
    ),
    "world.sample": JobKind(
        config=SampleConfig,
        recipe="terrarium.worlds.generators.draw:draw_world",
        makes="block-world",
        queue="gpu.generate",
        title="Draw a world",
        presets={"debug": sample_debug, "default": sample_default, "quick": sample_quick},
        fits=sample_misfits,
        promises=sampled_facts,
        estimate=sampled_bytes,
    ),
    "generator.align": JobKind(
        config=AlignConfig,
        recipe="terrarium.worlds.generators.align:align_generator",
        makes="generator",
        queue="gpu.train",
        title="Align a generator",
        presets={
            "debug": align_debug,
            "default": align_default,
            "hps": align_hps,
            "aesthetic": align_aesthetic,
            "normal": align_normal,
        },
        fits=align_misfits,
        estimate=aligned_bytes,
    ),
}
