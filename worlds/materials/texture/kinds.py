"""The kinds of jobs of the staged texture plan: configs, presets and rows. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import StringConstraints

from terrarium.worlds.kinds import CONFIG, AssetType, Conflict, Input, JobKind, Manifests, Misfit, More
from terrarium.worlds.materials.texture.phases import PHASES, MapName, PhaseName, checkpoint_name, comes_after

Side = Annotated[int, Ge(32), Le(2048), MultipleOf(32)]
Seed = Annotated[int, Ge(0), Le(2**29), More("Splits and seeds")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")]
Network = Literal["debug", "cpu", "small", "default"]
PARAMETERS: dict[Network, int] = {  # sizes.py
    "debug": 400_000,
    "cpu": 1_200_000,
    "small": 5_600_000,
    "default": 53_000_000,
}


@dataclass(frozen=True, kw_only=True)
class TextureDatasetConfig:
    """Draw procedural textures with their maps, for one of the two domains of the staged texture plan."""

    __pydantic_config__ = CONFIG
    kind: Literal["texture.dataset"] = "texture.dataset"
    domain: Literal["clean", "game"] = "clean"
    """clean: an even light, and a category each; game: baked light, a cold white balance, a vignette, JPEG."""
    materials: Annotated[int, Ge(2), Le(100_000)] = 200
    """Number of textures, from all families in turn."""
    size: Side = 1024
    """Side in pixels."""
    seed: Seed = 0
    """Seed of the first; every texture has its own: `seed`, `seed + 1`, ..."""


@dataclass(frozen=True, kw_only=True)
class TextureTrainConfig:
    """A phase of the staged texture plan: it turns a diffuse texture and its normals into albedo, roughness, metallic,
    occlusion and height.

    Code: worlds/materials/texture/model.py, and the phases in phases.py.
    """

    __pydantic_config__ = CONFIG
    kind: Literal["texture.train"] = "texture.train"
    phase: PhaseName = "A0"
    """Which phase. A0 begins; every other goes on from `start`."""
    map: MapName | None = None
    """Of phase D: the map whose head is trained."""
    clean: Annotated[str, Input("texture-set")]
    """Clean textures, such as MatSynth's. Every phase is measured on some that are held out."""
    game: Annotated[str, Input("texture-set")] | None = None
    """Textures of a game, from phase B on."""
    start: Annotated[str, Input("texture-model")] | None = None
    """The best of the phase before."""
    albedo: Annotated[str, Input("texture-model")] | None = None
    """Of phase B: the best of A_alb_syn, whose albedo network takes the place of that of `start`."""
    release: Reason = ""
    """Why the phase before is released although its gate is closed. It is recorded."""
    network: Network = "default"
    """Size of the networks that A0 begins with."""
    epochs: Annotated[int, Ge(1), Le(1000)] | None = None
    """Epochs. If omitted, the plan's: 15 in A0, 40, 15, 12, 12, 2, 10 in D."""
    patches: Annotated[int, Ge(1), Le(10_000_000), More("Optimisation")] | None = None
    """Samples in an epoch. If omitted, 1000 in A0, and as many as there are textures in other phases."""
    batch: Annotated[int, Ge(1), Le(1024), More("Optimisation")] = 4
    """Samples in a step."""
    side: Side | None = None
    """Pixels to which larger textures are scaled down. If omitted, 1024, and 2048 in D."""
    crop: Annotated[Side, More("Optimisation")] | None = None
    """Side in pixels of the square that is taken of a texture. If omitted, the plan's share of `side`."""
    lr: Annotated[float, Gt(0), Le(1), More("Optimisation")] | None = None
    """Peak learning rate. If omitted, the plan's: 1e-4 in A0, down to 1e-6 in D."""
    lion: Annotated[bool, More("Optimisation")] = False
    """Of phase C: Lion in place of AdamW, with five times the weight decay and, if `lr` is omitted, a fifth of it."""
    rank: Annotated[int, Ge(1), Le(256), More("Optimisation")] = 8
    """Rank of the adapters that phase B adds."""
    film_dropout: Annotated[float, Ge(0), Lt(1), More("Optimisation")] = 0.1
    """Share of the samples in which the network of maps is told neither classes nor albedo."""
    without_normals: Annotated[float, Ge(0), Lt(1), More("Optimisation")] = 0.1
    """Share of the samples whose normals the networks do not see, so that they can do with a diffuse alone."""
    clip: Annotated[float, Gt(0), Le(1e6), More("Optimisation")] = 1.0
    """Greatest norm of the gradient."""
    val_fraction: Annotated[float, Gt(0), Le(0.5), More("Splits and seeds")] = 0.1
    """Share of the textures of each domain that is held out."""
    validated: Annotated[int, Ge(1), Le(10_000), More("Saving and reporting")] = 200
    """At most so many held-out textures of each domain are measured after each epoch."""
    seed: Seed = 42
    """Seed of the weights, of what is drawn and of the split."""
    checkpoint_every_s: Annotated[float, Ge(0), More("Saving and reporting")] = 300.0
    """Seconds between saved training states."""
    log_every: Annotated[int, Ge(1), Le(10_000_000), More("Saving and reporting")] = 50
    """Steps between reported metrics."""

    def __post_init__(self) -> None:
        if (self.phase == "D") != (self.map is not None):
            raise Conflict("map", f"{self.map}, but phase {self.phase}: expected a map for D, and for no other phase")
        if self.phase != "A0" and self.start is None:
            raise Conflict("start", f"none, but phase {self.phase} goes on from {comes_after(self.phase, self.map)}")
        if self.phase == "A0" and self.start is not None:
            raise Conflict("start", f"{self.start}, but phase A0 begins with new weights")
        if self.albedo is not None and self.phase != "B":
            raise Conflict("albedo", f"{self.albedo}, but only phase B takes an albedo network")
        side = self.side or PHASES[self.phase].side
        if self.crop is not None and self.crop > side:
            raise Conflict("crop", f"{self.crop} pixels, but textures have {side}")
        if self.lion and self.phase != "C":
            raise Conflict("lion", f"but phase {self.phase}: expected Lion in C alone")
        if self.game is None and PHASES[self.phase].game > 0:
            raise Conflict("game", f"none, but phase {self.phase} learns from a game's textures")


def dataset_debug(domain: Literal["clean", "game"] = "clean", seed: int = 0) -> TextureDatasetConfig:
    """A few of 64 pixels: tries everything out."""
    return TextureDatasetConfig(domain=domain, materials=24, size=64, seed=seed)


def dataset_cpu(domain: Literal["clean", "game"] = "clean", seed: int = 0) -> TextureDatasetConfig:
    """480 of 128 pixels, for a CPU."""
    return TextureDatasetConfig(domain=domain, materials=480, size=128, seed=seed)


def dataset_default(domain: Literal["clean", "game"] = "clean", seed: int = 0) -> TextureDatasetConfig:
    """Two hundred of 1,024 pixels."""
    return TextureDatasetConfig(domain=domain, seed=seed)


def train_debug(phase: PhaseName = "A0", head: MapName | None = None, **inputs: Any) -> TextureTrainConfig:
    """A tiny network for a few epochs: tries everything out."""
    return TextureTrainConfig(
        phase=phase,
        map=head,
        **_blank(phase, inputs),
        network="debug",
        epochs=2 if phase == "Cp" else 6,
        patches=32,
        side=64,
        lr=DEBUG_LR[phase],
        rank=2,
        validated=4,
        log_every=1,
    )


def train_cpu(phase: PhaseName = "A0", head: MapName | None = None, **inputs: Any) -> TextureTrainConfig:
    """A small network, on textures of 128 pixels, for some minutes of a CPU core."""
    epochs, patches, lr = CPU[phase]
    return TextureTrainConfig(
        phase=phase,
        map=head,
        **_blank(phase, inputs),
        network="cpu",
        epochs=epochs,
        patches=patches,
        side=128,
        crop=64,
        lr=lr,
        rank=4,
        without_normals=0.3,
        validated=16,
        checkpoint_every_s=60.0,
        log_every=10,
    )


def train_default(phase: PhaseName = "A0", head: MapName | None = None, **inputs: Any) -> TextureTrainConfig:
    """The plan's own sizes and numbers: for a GPU."""
    return TextureTrainConfig(phase=phase, map=head, **_blank(phase, inputs))


DEBUG_LR: dict[PhaseName, float] = {
    "A0": 3e-3,
    "A": 3e-3,
    "A_alb_syn": 3e-3,
    "B": 3e-3,
    "C": 3e-3,
    "Cp": 1e-3,
    "D": 3e-3,
}


CPU: dict[PhaseName, tuple[int, int, float]] = {  # epochs, samples in each, learning rate
    "A0": (3, 200, 2e-3),
    "A": (8, 200, 2e-3),
    "A_alb_syn": (4, 200, 2e-3),
    "B": (4, 200, 1e-3),
    "C": (4, 200, 5e-4),
    "Cp": (2, 100, 2e-4),
    "D": (3, 100, 3e-4),
}


def _blank(phase: PhaseName, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`-` for the inputs that the phase cannot do without."""
    needed = {"clean": "-"} | ({"start": "-"} if phase != "A0" else {}) | ({"game": "-"} if PHASES[phase].game else {})
    return needed | dict(inputs)


def train_misfits(config: TextureTrainConfig, manifests: Manifests) -> list[Misfit]:
    found: list[Misfit] = []
    expected = {"start": comes_after(config.phase, config.map), "albedo": "A_alb_syn"}
    for field, checkpoint in expected.items():
        manifest = manifests.get(field, {})
        if (is_one := manifest.get("checkpoint", checkpoint)) != checkpoint:
            found.append((field, f"is the best of {is_one}, phase {config.phase} goes on from {checkpoint}"))
        gate = manifest.get("gate", {})
        if not gate.get("open", True) and not config.release:
            found.append((field, f"has a closed gate ({gate['why']}): expected it open, or a reason in `release`"))
    for field in ("clean", "game"):
        domain = manifests.get(field, {}).get("domain", field)
        if domain != field:
            found.append((field, f"has textures of the domain {domain}, expected {field}"))
    return found


def trained_facts(config: TextureTrainConfig, manifests: Manifests) -> dict[str, Any]:
    return {"kind": "texture-model", "checkpoint": checkpoint_name(config.phase, config.map)}


def dataset_facts(config: TextureDatasetConfig, manifests: Manifests) -> dict[str, Any]:
    return {"kind": "texture-set", "domain": config.domain, "materials": config.materials, "size": config.size}


def dataset_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """PNGs of nine maps at most, about 12 bytes a pixel."""
    return 12 * int(config["materials"]) * int(config["size"]) ** 2


def train_bytes(config: Mapping[str, Any], frame_bytes: int) -> int:
    """Weights, two moments and the best weights so far in fp32, in three states while one is written."""
    return 3 * 16 * PARAMETERS[config["network"]]


KINDS = {
    "texture.dataset": JobKind(
        config=TextureDatasetConfig,
        recipe="terrarium.worlds.materials.texture.dataset:make_textures",
        makes="texture-set",
        queue="cpu",
        title="Draw textures",
        presets={"debug": dataset_debug, "cpu": dataset_cpu, "default": dataset_default},
        promises=dataset_facts,
        estimate=dataset_bytes,
    ),
    "texture.train": JobKind(
        config=TextureTrainConfig,
        recipe="terrarium.worlds.materials.texture.train:train_texture",
        makes="texture-model",
        queue="gpu.train",
        title="Train a phase of the texture plan",
        presets={"debug": train_debug, "cpu": train_cpu, "default": train_default},
        fits=train_misfits,
        promises=trained_facts,
        estimate=train_bytes,
    ),
}

MAP_FILE = r"(basecolor|roughness|metallic|normal|diffuse|ao|height|displacement|parallax|specular)\.png"
ASSETS = {
    "texture-set": AssetType(
        files=rf"manifest\.json|[^/]+/({MAP_FILE}|metadata\.json)|[^/]+_{MAP_FILE}",
        content="manifest.json",  # holds a hash of every file
        check="terrarium.worlds.materials.texture.manifest:check_textures",
        opens="terrarium.worlds.materials.texture.manifest:check_textures",
        known_by=r"[^/]+[/_]basecolor\.png",
        describe="terrarium.worlds.materials.texture.manifest:describe_textures",
    ),
}
