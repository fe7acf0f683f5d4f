"""Recipe `texture.train`: a phase of the staged plan -> its best epoch's model, and the verdict of its gate.

The model is made whatever the verdict; a closed gate stops what goes on from it (`kinds.train_misfits`), unless that
one's config says why it is released.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from terrarium.worlds.checkpoint import read_manifest
from terrarium.worlds.materials.maps import NORMAL
from terrarium.worlds.materials.texture.data import Source, open_domains
from terrarium.worlds.materials.texture.gate import judge
from terrarium.worlds.materials.texture.kinds import TextureTrainConfig
from terrarium.worlds.materials.texture.losses import albedo_loss, loss_of
from terrarium.worlds.materials.texture.measure import measure
from terrarium.worlds.materials.texture.model import KIND, SHAPES, TextureNet, flat_like, load_model, save_model
from terrarium.worlds.materials.texture.phases import PHASES, Phase, checkpoint_name, with_lion
from terrarium.worlds.materials.texture.sample import DIFFUSE, target
from terrarium.worlds.materials.texture.textures import listing_sha256, open_textures
from terrarium.worlds.materials.texture.trainable import trainable
from terrarium.worlds.pictures.perceptual import LPIPS
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.lion import Lion
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.schedules import (
    Schedule,
    cosine,
    early_stop,
    exponential,
    one_cycle,
    step_decay,
    warm_restarts,
)
from terrarium.worlds.training.states import identity, newest_state
from terrarium.worlds.training.task import Batch, Learner, LossFn, Stage, Step, Task

MAY_CHANGE = ("checkpoint_every_s", "log_every", "release")
NO_CLASS = ("unknown",)  # where no clean texture has a category


def train_texture(config: TextureTrainConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    torch.manual_seed(config.seed)
    phase = phase_of(config)
    domains = open_domains(phase, config.clean, config.game, config.val_fraction, config.seed)
    model, before = start_of(config)
    source = Source(phase, domains, before["classes"], phase.side, phase.epochs)
    steps = steps_in_epoch(config, phase, len(source.entries))
    best = Best()
    perceptual = LPIPS("random")

    def sample(step: Step) -> Batch:
        which, of = step.part
        x = source.draw(step.rng, config.batch, 1 + (step.index - step.begins) // steps)
        return (x.chunk(of)[which],)

    def validate(model: nn.Module, _: int) -> dict[str, float]:
        figures = {
            name: measure(model, source.held_out(name, config.validated), config.map, perceptual) for name in domains
        }
        told = {name: each["error"] for name, each in figures.items()} | figures["clean"]
        told |= {f"game/{name}": value for name, value in figures.get("game", {}).items()}
        del told["error"]
        best.look(told[measured_by(phase)], {k: v for k, v in model.state_dict().items() if k in learned}, told)
        return told

    learned = trainable(model, config.phase, config.map)
    optimizer = optimizer_of(phase, list(learned.values()))
    task = Task(
        model=model,
        learners=[
            Learner(
                loss=loss_fn(model, phase, config, perceptual if phase.perceptual else None),
                optimizer=optimizer,
                schedule=schedule_of(phase, steps),
                clip=config.clip,
            )
        ],
        sample=sample,
        ema=None,
        keep=lambda name: name in learned,
        extra=best,
        validate=validate,
        validate_every=steps,
        stop=early_stop(measured_by(phase), phase.patience) if phase.patience else None,
    )
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=identity(config, MAY_CHANGE, **sources_of(config)),
    )
    stage = Stage(checkpoint_name(config.phase, config.map), phase.epochs * steps, lambda _: task)
    train([stage], loop, out_dir, progress)
    history = newest_state(out_dir).facts["history"]
    told = facts_of(config, before, history, best)
    tensors = dict(model.state_dict()) | best.weights
    parallel.on_first(lambda: save_model(out_dir / "output", model, tensors, told))
    return {"checkpoint": told["checkpoint"], "gate": told["gate"], "epochs": len(history), **told["quality"]}


def phase_of(config: TextureTrainConfig) -> Phase:
    """The plan's, with what the config sets besides."""
    given = {name: getattr(config, name) for name in ("epochs", "patches", "side", "lr")}
    phase = with_lion(PHASES[config.phase]) if config.lion else PHASES[config.phase]
    if config.crop is not None:
        share = config.crop / (config.side or phase.side)
        phase = replace(phase, crop=(share, share))
    return replace(phase, **{name: value for name, value in given.items() if value is not None})


def start_of(config: TextureTrainConfig) -> tuple[TextureNet, dict[str, Any]]:
    """The model that the phase trains, and what a manifest says of it; of A0 its classes alone."""
    if config.start is None:
        classes = open_textures(Path(config.clean)).categories() or NO_CLASS
        return TextureNet(SHAPES[config.network], len(classes)), {"classes": list(classes), "phases": []}
    model, before = load_model(Path(config.start))
    if config.albedo is not None:
        donor, told = load_model(Path(config.albedo))
        if donor.shape != model.shape:
            raise ValueError(f"albedo {config.albedo} has the shape {told['model']}, start {before['model']}")
        model.albedo.load_state_dict(donor.albedo.state_dict())
    if PHASES[config.phase].trains == "adapters":
        model.adapt(config.rank)
    return model, before


def steps_in_epoch(config: TextureTrainConfig, phase: Phase, textures: int) -> int:
    return max(1, math.ceil((phase.patches or textures) / config.batch))


def measured_by(phase: Phase) -> str:
    """The figure whose least is the best epoch."""
    if phase.trains == "albedo":
        return "albedo_l1"
    return "game" if phase.game else "clean"


def loss_fn(model: TextureNet, phase: Phase, config: TextureTrainConfig, perceptual: LPIPS | None) -> LossFn:
    def seen(step: Step, x: Tensor) -> tuple[Tensor, Tensor]:
        diffuse, normal = x[:, DIFFUSE], x[:, NORMAL]
        unknown = torch.from_numpy(step.rng.random(len(x)) < config.without_normals).to(x.device)
        return diffuse, torch.where(unknown.view(-1, 1, 1, 1), flat_like(diffuse), normal)

    def albedo_alone(step: Step, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        found = model.find_albedo(*seen(step, x))
        return albedo_loss(found, target(x, "albedo"), target(x, "metal"), perceptual)

    def all_maps(step: Step, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        told = torch.from_numpy(step.rng.random(len(x)) >= config.film_dropout).to(x)
        found = model(*seen(step, x), told)
        return loss_of(found, x, phase, config.map, perceptual)

    return albedo_alone if phase.trains == "albedo" or config.map == "albedo" else all_maps


def optimizer_of(phase: Phase, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    betas = (0.9, phase.beta2)
    if phase.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=phase.lr, betas=betas, weight_decay=phase.weight_decay)
    if phase.optimizer == "lion":
        return Lion(parameters, lr=phase.lr, betas=betas, weight_decay=phase.weight_decay)
    return torch.optim.AdamW(parameters, lr=phase.lr, betas=betas, weight_decay=phase.weight_decay)


def schedule_of(phase: Phase, steps: int) -> Schedule:
    """`steps` in an epoch."""
    if phase.schedule == "one_cycle":
        return one_cycle(phase.epochs * steps, rise=0.3, last=1 / 5)
    if phase.schedule == "step":
        return step_decay(6 * steps, 0.5)
    if phase.schedule == "restarts":
        return warm_restarts(steps)
    if phase.schedule == "exponential":
        return exponential(0.9, steps)
    return cosine(phase.epochs * steps)


def sources_of(config: TextureTrainConfig) -> dict[str, str]:
    """Hashes of the inputs."""
    folders = {name: getattr(config, name) for name in ("clean", "game")}
    found = {name: listing_sha256(Path(folder)) for name, folder in folders.items() if folder is not None}
    return found | {name: str(told["sha256"]) for name, told in starts_of(config).items()}


def starts_of(config: TextureTrainConfig) -> dict[str, dict[str, Any]]:
    """Manifests of what the phase starts from."""
    given = {name: getattr(config, name) for name in ("start", "albedo")}
    return {name: read_manifest(Path(folder), KIND) for name, folder in given.items() if folder is not None}


def facts_of(
    config: TextureTrainConfig, before: Mapping[str, Any], history: list[dict[str, float]], best: Best
) -> dict[str, Any]:
    """What the manifest says: the phase, its validations, the verdict, and all phases so far."""
    rule = PHASES[config.phase].rule
    verdict = asdict(judge(rule, history)) | {"rule": rule}
    name = checkpoint_name(config.phase, config.map)
    told = {"checkpoint": name, "gate": verdict, "epochs": len(history), "best": best.epoch}
    told["released"] = [
        {"checkpoint": one["checkpoint"], "why": config.release, "gate": one["gate"]["why"]}
        for one in starts_of(config).values()
        if not one["gate"]["open"]
    ]
    return {
        "name": f"{name}_best",
        "classes": before["classes"],
        **told,
        "quality": best.figures,
        "history": history,
        "phases": [*before["phases"], told],
        "config": asdict(config),
    }


class Best:
    """The weights of the best epoch so far, a part of the run's states."""

    def __init__(self) -> None:
        self.error, self.epoch, self.epochs = math.inf, 0, 0
        self.weights: dict[str, Tensor] = {}
        self.figures: dict[str, float] = {}

    def look(self, error: float, weights: dict[str, Tensor], figures: dict[str, float]) -> None:
        """At another epoch's."""
        self.epochs += 1
        if error < self.error:
            self.error, self.epoch, self.figures = error, self.epochs, figures
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def state_dict(self) -> dict[str, Tensor]:
        if not self.epochs:
            return {}
        numbers = torch.tensor([self.error, self.epoch, self.epochs], dtype=torch.float64)
        figures = {f"figure.{name}": torch.tensor(x, dtype=torch.float64) for name, x in self.figures.items()}
        return {"numbers": numbers, **figures, **{f"weight.{name}": x for name, x in self.weights.items()}}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if "numbers" in state:
            self.error, epoch, epochs = state["numbers"].tolist()
            self.epoch, self.epochs = int(epoch), int(epochs)
        self.figures = {k.removeprefix("figure."): float(v) for k, v in state.items() if k.startswith("figure.")}
        self.weights = {k.removeprefix("weight."): v for k, v in state.items() if k.startswith("weight.")}
