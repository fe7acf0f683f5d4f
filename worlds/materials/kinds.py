"""The kinds of jobs that make materials' data and models: configs, presets and rows. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MultipleOf
from pydantic import StringConstraints

from terrarium.worlds.kinds import CONFIG, AssetType, Conflict, Input, JobKind, Manifests, Misfit, More
from terrarium.worlds.materials.texture.kinds import ASSETS as TEXTURE_ASSETS
from terrarium.worlds.materials.texture.kinds import KINDS as TEXTURE_KINDS

Weight = Annotated[float, Ge(0), Le(1000), More("Loss")]
Side = Annotated[int, Ge(32), Le(2048), MultipleOf(32)]
Seed = Annotated[int, Ge(0), Le(2**29), More("Splits and seeds")]
OwnLoss = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=200), More("Loss")]
FamilyName = Literal[  # those of procedural.FAMILIES
    "brick",
    "cobble",
    "rock",
    "planks",
    "veneer",
    "bark",
    "brushed_metal",
    "hammered_metal",
    "tread_plate",
    "rusted_metal",
    "painted_metal",
    "woven",
    "knitted",
    "leather",
    "soil",
    "gravel",
    "sand",
    "ceramic_tiles",
    "roof_tiles",
    "marble",
    "concrete",
    "terrazzo",
    "carbon_fibre",
    "asphalt",
]
EncoderName = Literal["mobile", "unet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


@dataclass(frozen=True, kw_only=True)
class MaterialDatasetConfig:
    """Render three views of materials, procedural or your own, with their poses and true maps."""

    __pydantic_config__ = CONFIG
    kind: Literal["material.dataset"] = "material.dataset"
    materials: Annotated[int, Ge(2), Le(100_000)] = 100
    """Number of procedural materials, taken from all families in turn."""
    own: Annotated[tuple[Annotated[str, Input("material")], ...], MaxLen(1000)] = ()
    """Your own materials, two or more, in place of procedural ones."""
    samples: Annotated[int, Ge(1), Le(100)] = 2
    """Samples of three views of each material."""
    size: Side = 256
    """Side of views and maps in pixels."""
    dirty: bool = True
    """Also write each sample with a shadow, smudges and scratches."""
    seed: Seed = 0
    """Seed of the first material, or of its poses and lights; each has its own: `seed`, `seed + 1`, ..."""


@dataclass(frozen=True, kw_only=True)
class MaterialTrainConfig:
    """Train a model that turns three views of a surface into its maps: albedo, roughness, metallic, normal.

    Code: worlds/materials/model.py.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["material.train"] = "material.train"
    data: Annotated[str, Input("material-dataset")] | None = None
    """Rendered views to learn from. If omitted, procedural materials without end, rendered as they are needed."""
    teacher: Annotated[str, Input("material-model")] | None = None
    """A model whose maps are learned besides the true ones: a smaller network comes nearer to it than by itself."""
    encoder: EncoderName = "unet"
    """What each view goes through."""
    width: Annotated[int, Ge(8), Le(256), MultipleOf(8)] = 64
    """Channels of the encoder's first stage; each of its four stages has twice as many as the one before."""
    encoder_stride: Annotated[int, Ge(1), Le(2), More("Model")] = 1
    """2: features of half the picture's size, at a quarter of the memory."""
    dim: Annotated[int, Ge(16), Le(4096), MultipleOf(8), More("Model")] = 512
    """Width of the transformer that reads all views together."""
    heads: Annotated[int, Ge(1), Le(64), More("Model")] = 8
    """Attention heads; a divisor of `dim`."""
    depth: Annotated[int, Ge(0), Le(48), More("Model")] = 4
    """Layers of the transformer."""
    mlp_ratio: Annotated[float, Gt(0), Le(16), More("Model")] = 4.0
    """Width of the layers inside the transformer's blocks, as a multiple of `dim`."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 100_000
    """Optimiser steps."""
    batch: Annotated[int, Ge(1), Le(1024), More("Optimisation")] = 8
    """Materials in a step."""
    crop: Annotated[Side, More("Optimisation")] = 128
    """Side of the pictures in a step, in pixels."""
    larger: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 0.0
    """Share of the steps with pictures twice as large, a quarter as many."""
    fewer_views: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 0.2
    """Share of the steps that see one or two views in place of three."""
    unposed: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 0.1
    """Share of the steps that are not told the poses."""
    curriculum: Annotated[int, Ge(0), Le(2), More("Optimisation")] = 0
    """Which renders: 0 clean ones, 1 clean and dirty ones alike, 2 dirty ones."""
    lr: Annotated[float, Ge(0), Le(1), More("Optimisation")] = 2e-4
    """Peak learning rate."""
    beta1: Annotated[float, Ge(0), Lt(1), More("Optimisation")] = 0.5
    """AdamW's momentum."""
    schedule: Annotated[Literal["cosine", "step", "plateau", "none"], More("Optimisation")] = "cosine"
    """How the learning rate falls: to a two-hundredth, to a tenth after each third of the steps, to a half after three
    validations without a better one, or not."""
    warmup: Annotated[int, Ge(0), Le(1_000_000), More("Optimisation")] = 500
    """Steps over which the learning rate rises."""
    clip: Annotated[float, Gt(0), Le(1e6), More("Optimisation")] = 1.0
    """Greatest norm of the gradient."""
    ema: Annotated[float, Ge(0), Lt(1), More("Optimisation")] = 0.999
    """Share of the weights' average that each step keeps."""
    freeze_encoder: Annotated[bool, More("Optimisation")] = False
    """Leave the encoder as it is initialised or was before."""
    freeze_norms: Annotated[bool, More("Optimisation")] = False
    """Leave the normalisation layers' scales and shifts as they are."""
    albedo: Weight = 1.0
    """Loss weight of the albedo's absolute error."""
    roughness: Weight = 1.0
    """Loss weight of the roughness's absolute error."""
    metallic: Weight = 1.0
    """Loss weight of the metalness's absolute error."""
    normal: Weight = 1.0
    """Loss weight of the normals' absolute error."""
    ssim: Weight = 0.3
    """Loss weight of the albedo's structural dissimilarity."""
    angle: Weight = 0.5
    """Loss weight of 1 - cosine of the angle between normals."""
    metal: Weight = 0.2
    """Loss weight of the metalness's cross-entropy."""
    own_loss: OwnLoss | None = None
    """A loss of your own besides, `module:function` of maps that were found and true ones, both [B, 8, H, W], of those
    that this Terrarium allows (TERRARIUM_ALLOWED_LOSSES)."""
    own_weight: Weight = 1.0
    """Its weight."""
    distil: Annotated[float, Ge(0), Le(1), More("Loss")] = 0.5
    """Share of the loss that is measured against the teacher's maps, where there is one."""
    gan: Annotated[float, Ge(0), Le(1000), More("Adversary")] = 0.0
    """Loss weight of a PatchGAN's opinion of the maps; 0: there is none."""
    gan_loss: Annotated[Literal["hinge", "bce"], More("Adversary")] = "hinge"
    """What the PatchGAN lowers."""
    gan_start: Annotated[int, Ge(0), Le(10_000_000), More("Adversary")] = 5_000
    """Step from which there is one; the generator's optimiser begins anew there."""
    gan_warmup: Annotated[int, Ge(0), Le(1_000_000), More("Adversary")] = 500
    """Steps from then on over which the PatchGAN's weight and learning rate rise."""
    gan_layers: Annotated[int, Ge(2), Le(6), More("Adversary")] = 4
    """Layers that halve the picture. The PatchGAN judges patches of 142 pixels with 4 of them, 574 with 6."""
    gan_width: Annotated[int, Ge(8), Le(256), MultipleOf(8), More("Adversary")] = 64
    """Channels of its first layer."""
    gan_lr: Annotated[float, Ge(0), Le(1), More("Adversary")] = 2e-4
    """Its learning rate."""
    gan_clip: Annotated[float, Gt(0), Le(1e6), More("Adversary")] = 1.0
    """Greatest norm of its gradient."""
    d_steps: Annotated[int, Ge(1), Le(10), More("Adversary")] = 1
    """Its steps for each of the generator's."""
    val_fraction: Annotated[float, Gt(0), Le(0.5), More("Splits and seeds")] = 0.1
    """Share of a dataset's materials that is held out."""
    seed: Seed = 42
    """Seed of the weights, of what is drawn and of the split."""
    validate_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 1000
    """Steps between measurements on held-out materials."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 60.0
    """Seconds between saved training states, each with a sheet of maps."""
    log_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 10
    """Steps between reported metrics."""

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise Conflict("heads", f"{self.heads} does not divide dim {self.dim}")
        if self.gan and self.crop < (least := 3 * 2**self.gan_layers):
            raise Conflict("crop", f"{self.crop} pixels, but a PatchGAN of {self.gan_layers} layers needs {least}")
        if self.larger and self.crop > 1024:
            raise Conflict("larger", f"{self.larger}, but pictures twice as large as {self.crop} pixels are too large")


@dataclass(frozen=True, kw_only=True)
class MaterialMakeConfig:
    """Make a procedural material: a tile that repeats, with all its maps."""

    __pydantic_config__ = CONFIG
    kind: Literal["material.make"] = "material.make"
    family: FamilyName = "brick"
    """What the surface is made of."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    """Which one of the family."""
    size: Side = 512
    """Side of the maps in pixels; a seed is the same material at every size."""


@dataclass(frozen=True, kw_only=True)
class MaterialInferConfig:
    """Find the maps of a surface from three views of it, or from one diffuse texture."""

    __pydantic_config__ = CONFIG
    kind: Literal["material.infer"] = "material.infer"
    views: Annotated[str, Input("view-set", "diffuse", "material")]
    """Three pictures of the surface, or one diffuse texture; or a material: its pictures are rendered, and the maps are
    compared with its own."""
    model: Annotated[str, Input("material-model", "texture-model")] | None = None
    """What finds them: a material-model from three pictures, a texture-model from one. If omitted, the model for as
    many that comes with the project."""
    seed: Annotated[int, Ge(0), Le(2**31 - 1), More("Rendered views")] = 0
    """Seed of the poses and the light of rendered views."""
    dirty: Annotated[bool, More("Rendered views")] = False
    """Render them with a shadow, smudges and scratches; a diffuse texture with light baked in."""


def dataset_debug() -> MaterialDatasetConfig:
    """Four small materials: tries everything out."""
    return MaterialDatasetConfig(materials=4, samples=1, size=32)


def dataset_default() -> MaterialDatasetConfig:
    """A hundred materials, two samples of each."""
    return MaterialDatasetConfig()


def make_debug() -> MaterialMakeConfig:
    """Bricks of 64 pixels: tries everything out."""
    return MaterialMakeConfig(size=64)


def make_default() -> MaterialMakeConfig:
    """Maps of 512 pixels."""
    return MaterialMakeConfig()


def infer_default(views: str = "-") -> MaterialInferConfig:
    """By the model that comes with the project."""
    return MaterialInferConfig(views=views)


def train_debug(data: str | None = None) -> MaterialTrainConfig:
    """Ten steps of a tiny network: tries everything out."""
    return MaterialTrainConfig(
        data=data,
        width=8,
        dim=16,
        heads=2,
        depth=1,
        mlp_ratio=2.0,
        steps=10,
        batch=2,
        crop=32,
        warmup=2,
        ema=0.9,
        fewer_views=0.5,
        validate_every=5,
        log_every=1,
    )


def train_shipped() -> MaterialTrainConfig:
    """The shipped model's: small enough for some hours on a CPU core."""
    return MaterialTrainConfig(
        width=16,
        dim=128,
        heads=4,
        depth=2,
        mlp_ratio=2.0,
        steps=2_400,
        batch=8,
        crop=64,
        larger=0.25,
        fewer_views=0.3,
        lr=2e-3,
        beta1=0.9,
        warmup=100,
        ema=0.998,
        validate_every=250,
    )


def train_student(teacher: str | None = None) -> MaterialTrainConfig:
    """A small network of separable convolutions that learns from a larger one, for slow machines."""
    return replace(train_shipped(), teacher=teacher, encoder="mobile", encoder_stride=2, dim=64, depth=1, steps=640)


def train_quick_test(data: str | None = None) -> MaterialTrainConfig:
    """A ResNet of 18 layers for a short while, to see whether it learns."""
    return MaterialTrainConfig(data=data, encoder="resnet18", depth=2, steps=5_000)


def train_lightweight(data: str | None = None) -> MaterialTrainConfig:
    """A ResNet of 50 layers at half the resolution, for a GPU of 8 GB."""
    return MaterialTrainConfig(data=data, encoder="resnet50", encoder_stride=2, depth=2, batch=4)


def train_default(data: str | None = None) -> MaterialTrainConfig:
    """A ResNet of 50 layers and the transformer of the plan that this follows: for a large GPU."""
    return MaterialTrainConfig(data=data, encoder="resnet50", dim=2048, heads=32, crop=256, gan=0.05, gan_layers=6)


def train_high_quality(data: str | None = None) -> MaterialTrainConfig:
    """A ResNet of 101 layers, twice as deep a transformer, and larger pictures."""
    return replace(
        train_default(data), encoder="resnet101", depth=8, crop=512, batch=2, steps=300_000, gan_start=15_000
    )


def train_fast_iteration(data: str | None = None) -> MaterialTrainConfig:
    """A small ResNet on small pictures, for trying ideas out."""
    return MaterialTrainConfig(data=data, encoder="resnet18", width=32, dim=256, depth=2, crop=64, steps=20_000)


def train_normal_focused(data: str | None = None) -> MaterialTrainConfig:
    """As default, with four times the weight on normals."""
    return replace(train_default(data), normal=4.0, angle=2.0)


TAKES = {  # type of a model: what it finds maps from
    "material-model": "three views of one surface",
    "texture-model": "one diffuse texture, with its normals if they are known",
}
TAKEN_BY = {"view-set": "material-model", "diffuse": "texture-model"}


def infer_misfits(config: MaterialInferConfig, manifests: Manifests) -> list[Misfit]:
    views, model = (manifests.get(field, {}).get("kind") for field in ("views", "model"))
    if views not in TAKEN_BY or model not in TAKES or TAKEN_BY[views] == model:
        return []
    return [("model", f"is a {model}, which takes {TAKES[model]}, but `views` is a {views}")]


def dataset_misfits(config: MaterialDatasetConfig, manifests: Manifests) -> list[Misfit]:
    sizes = [manifest["size"] for manifest in manifests.get("own", []) if "size" in manifest]
    if not sizes or min(sizes) >= config.size:
        return []
    return [("own", f"has maps of {min(sizes)} pixels a side, expected {config.size} or more, as `size`")]


def made_facts(config: MaterialMakeConfig, manifests: Manifests) -> dict[str, Any]:
    return {"kind": "material", "size": config.size}


def made_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """PNGs of all maps, about 12 bytes a pixel."""
    return 12 * config["size"] ** 2


LONGEST_VIEW = 2048  # pixels along a side


def inferred_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """Of the longest views that are taken: their size is not in the config. Three of them, and PNGs of all maps."""
    return (12 + 3 * 3) * LONGEST_VIEW**2


def dataset_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """PNGs of about 1.6 bytes a pixel in colour: 6 of them, or 12 with dirty ones, in three views and two maps."""
    pixels = config["size"] ** 2
    views = 3 * config["samples"] * (2 if config["dirty"] else 1)
    count = len(config.get("own", ())) or config["materials"]
    return int(count * pixels * (1.9 * views + 5))


def train_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """Weights, their average and two moments in fp32, in three states while one is written."""
    return 3 * 16 * model_parameters(config)


def model_parameters(config: Mapping[str, Any]) -> int:
    """About as many as model.py makes."""
    w, dim, wide = config["width"], config["dim"], 4 if config["encoder"] in BOTTLENECKS else 1
    encoder = ENCODER_PARAMETERS[config["encoder"]] * w * w
    decoder = 926 * (wide * w) ** 2
    layers = config["depth"] * dim * dim * (4 + 2 * config["mlp_ratio"])
    return int(encoder + decoder + layers + 2 * 8 * wide * w * dim + dim * dim)


BOTTLENECKS = ("resnet50", "resnet101", "resnet152")
ENCODER_PARAMETERS = {  # for each squared channel of the first stage
    "mobile": 580,
    "unet": 1150,
    "resnet18": 2700,
    "resnet34": 5180,
    "resnet50": 5700,
    "resnet101": 10_300,
    "resnet152": 14_100,
}

KINDS = {
    "material.dataset": JobKind(
        config=MaterialDatasetConfig,
        recipe="terrarium.worlds.materials.dataset:make_dataset",
        makes="material-dataset",
        queue="cpu",
        title="Render materials",
        presets={"debug": dataset_debug, "default": dataset_default},
        fits=dataset_misfits,
        estimate=dataset_bytes,
    ),
    "material.make": JobKind(
        config=MaterialMakeConfig,
        recipe="terrarium.worlds.materials.make:make_material",
        makes="material",
        queue="cpu",
        title="Make a procedural material",
        presets={"debug": make_debug, "default": make_default},
        promises=made_facts,
        estimate=made_bytes,
    ),
    "material.infer": JobKind(
        config=MaterialInferConfig,
        recipe="terrarium.worlds.materials.infer_job:infer_material",
        makes="material",
        queue="gpu.generate",
        title="Find a material's maps",
        presets={"default": infer_default},
        fits=infer_misfits,
        estimate=inferred_bytes,
    ),
    "material.train": JobKind(
        config=MaterialTrainConfig,
        recipe="terrarium.worlds.materials.train:train_material",
        makes="material-model",
        queue="gpu.train",
        title="Train a model of materials",
        presets={
            "debug": train_debug,
            "quick_test": train_quick_test,
            "shipped": train_shipped,
            "student": train_student,
            "fast_iteration": train_fast_iteration,
            "lightweight": train_lightweight,
            "default": train_default,
            "high_quality": train_high_quality,
            "normal_focused": train_normal_focused,
        },
        estimate=train_bytes,
    ),
    **TEXTURE_KINDS,
}

ASSETS = {  # where three views and maps lie together, the views are taken
    "view-set": AssetType(
        files=r"(manifest|poses)\.json|[0-2]\.png",
        content="manifest.json",  # holds the hash of every file
        check="terrarium.worlds.materials.manifest:check_view_set",
        opens="terrarium.worlds.materials.manifest:check_view_set",
        alone="0.png",
        describe="terrarium.worlds.materials.manifest:describe_views",
    ),
    "material": AssetType(
        files=r"manifest\.json|material\.gltf|(basecolor|roughness|metallic|normal|ao|height|orm|rmaos|confidence"
        r"|sphere|cube|plane|view_[0-2]|diffuse)\.png",
        content="manifest.json",
        check="terrarium.worlds.materials.manifest:check_material",
        opens="terrarium.worlds.materials.manifest:check_material",
        alone="basecolor.png",
        describe="terrarium.worlds.materials.manifest:describe_material",
    ),
    "diffuse": AssetType(
        files=r"manifest\.json|(diffuse|normal)\.png",
        content="manifest.json",
        check="terrarium.worlds.materials.manifest:check_diffuse",
        opens="terrarium.worlds.materials.manifest:check_diffuse",
        alone="diffuse.png",
        describe="terrarium.worlds.materials.manifest:describe_diffuse",
    ),
    **TEXTURE_ASSETS,
}
