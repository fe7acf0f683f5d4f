"""Recipe `material.train`: three views -> four maps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from terrarium.worlds.checkpoint import read_manifest, save_checkpoint, tensors_sha256
from terrarium.worlds.device import default_device
from terrarium.worlds.materials.adversary import Adversaries, PatchGAN
from terrarium.worlds.materials.data import Endless, OnDisk, Source, entries_of, held_out
from terrarium.worlds.materials.kinds import MaterialTrainConfig
from terrarium.worlds.materials.losses import Lesson, map_loss, own_loss
from terrarium.worlds.materials.metrics import angle_figures, map_figures, normal_angles_deg
from terrarium.worlds.materials.model import KIND, MaterialNet, load_model
from terrarium.worlds.materials.multi_view import MultiView, lists_sha256
from terrarium.worlds.materials.sheets import save_sheet
from terrarium.worlds.materials.splits import SEEN_FAMILIES, split
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import norms
from terrarium.worlds.training.schedules import Schedule, constant, cosine, plateau, product, step_decay, warm_up
from terrarium.worlds.training.states import identity
from terrarium.worlds.training.task import Batch, Learner, LossFn, Stage, Step, Task

MAY_CHANGE = ("steps", "checkpoint_every_s", "log_every", "validate_every")
SHAPE = ("encoder", "width", "dim", "heads", "depth", "mlp_ratio")  # of the model, under their names in the config
VALIDATED = 20  # materials
Examples = tuple[Tensor, Tensor, Tensor]  # rectified views, poses, maps


def train_material(config: MaterialTrainConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    torch.manual_seed(config.seed)
    model = MaterialNet(**shape_of(config))
    source, examples, split_facts = data_of(config)
    teacher = None if config.teacher is None else load_model(Path(config.teacher))[0]
    lesson = Lesson(config, teacher, own_loss(config.own_loss))
    sources: dict[str, str] = {} if config.data is None else {"data": lists_sha256(Path(config.data))}
    if teacher is not None:
        sources["teacher"] = tensors_sha256(teacher.state_dict())

    def sample(step: Step) -> Batch:
        which, of = step.part
        larger = config.batch >= 4 * of and step.rng.random() < config.larger
        batch, side = (config.batch // 4, 2 * config.crop) if larger else (config.batch, config.crop)
        found = source.draw(step.rng, batch, side)
        return tuple(part.chunk(of)[which] for part in found)

    def preview(model: nn.Module, _: int) -> None:
        views, poses, maps = (x[:8] for x in examples)
        save_sheet(out_dir / "maps.png", views, predict(generator_of(model), views, poses), maps)
        progress.preview("maps", out_dir / "maps.png")

    def validate(model: nn.Module, step: int) -> dict[str, float]:
        quality = measure(generator_of(model), examples)
        keep_best(
            out_dir / "best", generator_of(model), config, {"split": split_facts, "quality": quality, "steps": step}
        )
        return quality

    def task_of(model: nn.Module, learners: list[Learner]) -> Task:
        return Task(
            model=model,
            learners=learners,
            sample=sample,
            ema=config.ema,
            validate=validate,
            validate_every=config.validate_every,
            preview=preview,
        )

    def alone(_: nn.Module | None) -> Task:
        return task_of(model, [learner_of(model, config, lesson.alone(model))])

    def judged(before: nn.Module | None) -> Task:
        torch.manual_seed(config.seed + 1)
        pair = Adversaries(
            model if before is None else generator_of(before), PatchGAN(config.gan_layers, config.gan_width)
        )
        return task_of(pair, [judged_learner(pair, config, lesson), critic_of(pair, config, lesson)])

    starts = min(config.gan_start, config.steps) if config.gan else config.steps
    stages = [Stage("train", starts, alone), Stage("adversarial", config.steps - starts, judged)]
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=identity(config, MAY_CHANGE, **sources),
    )
    best = generator_of(train([stage for stage in stages if stage.steps], loop, out_dir, progress))
    quality = measure(best, examples)
    facts = {"split": split_facts, "quality": quality, "steps": config.steps}
    parallel.on_first(lambda: save_model(out_dir / "output", best, config, facts))
    return quality


def generator_of(model: nn.Module) -> MaterialNet:
    found = model.generator if isinstance(model, Adversaries) else model
    assert isinstance(found, MaterialNet)
    return found


def shape_of(config: MaterialTrainConfig) -> dict[str, Any]:
    """Arguments of MaterialNet."""
    return {name: getattr(config, name) for name in SHAPE} | {"stride": config.encoder_stride}


def data_of(config: MaterialTrainConfig) -> tuple[Source, Examples, dict[str, Any]]:
    """What to learn from, held-out examples, and what a manifest says of the split."""
    if config.data is None:
        each = max(1, VALIDATED // len(SEEN_FAMILIES))
        examples = held_out(config.seed, SEEN_FAMILIES, each, config.crop)
        return Endless(config.curriculum), examples, {"by": "seed", "families": list(SEEN_FAMILIES)}
    data = MultiView(Path(config.data))
    learned, kept = split(list(data.materials.values()), config.val_fraction, config.seed)
    source = OnDisk(data, entries_of(data, learned, config.curriculum))
    kind = data.kinds[0]
    names = [name for name, made in data.materials.items() if made in set(kept)][:VALIDATED]
    found = [OnDisk(data, [(name, kind)]).draw(np.random.default_rng(0), 1, config.crop) for name in names]
    views, poses, maps = (torch.cat(parts) for parts in zip(*found, strict=True))
    return source, (views, poses, maps), {"by": "material", "held_out": kept}


def learner_of(
    model: MaterialNet, config: MaterialTrainConfig, loss: LossFn, began: int = 0, every: int = 1
) -> Learner:
    """Of a generator, from step `began` of the run on."""
    frozen = set(model.encoder.parameters()) if config.freeze_encoder else set()
    if config.freeze_norms:
        frozen |= {p for part in norms(model) for p in part.parameters()}
    taught = [p for p in model.parameters() if p not in frozen]
    optimizer = torch.optim.AdamW(taught, lr=config.lr, betas=(config.beta1, 0.999), weight_decay=0.01)
    falls = schedule_of(config)
    return Learner(
        loss=loss,
        optimizer=optimizer,
        schedule=lambda index, history: falls(began + index, history),
        clip=config.clip,
        every=every,
    )


def judged_learner(pair: Adversaries, config: MaterialTrainConfig, lesson: Lesson) -> Learner:
    """The generator's, which has a turn after every `d_steps` of the critic."""
    began = min(config.gan_start, config.steps)
    return learner_of(pair.generator, config, lesson.judged(pair), began, config.d_steps)


def critic_of(pair: Adversaries, config: MaterialTrainConfig, lesson: Lesson) -> Learner:
    optimizer = torch.optim.Adam(pair.critic.parameters(), lr=config.gan_lr, betas=(0.5, 0.999))
    return Learner(
        loss=lesson.judging(pair),
        optimizer=optimizer,
        schedule=warm_up(config.gan_warmup),
        clip=config.gan_clip,
        name="critic",
    )


def schedule_of(config: MaterialTrainConfig) -> Schedule:
    falls: dict[str, Schedule] = {
        "cosine": cosine(config.steps, last=1 / 200, start=config.warmup),
        "step": step_decay(max(1, config.steps // 3), 0.1),
        "plateau": plateau("loss", factor=0.5, patience=3, last=1 / 200),
        "none": constant,
    }
    return product(warm_up(config.warmup), falls[config.schedule])


@torch.no_grad()
def predict(model: Callable[..., Tensor], views: Tensor, poses: Tensor | None, batch: int = 8) -> Tensor:
    """Maps on the CPU of rectified views [N, V, 3, H, W], a few at a time."""
    device = default_device()
    found = []
    for i in range(0, len(views), batch):
        part = None if poses is None else poses[i : i + batch].to(device)
        found.append(model(views[i : i + batch].to(device), part).cpu())
    return torch.cat(found)


def measure(model: nn.Module, examples: Examples) -> dict[str, float]:
    """{map}_rmse and the mean angle between normals, and the loss with all weights 1, of three views."""
    views, poses, maps = examples
    found = predict(model, views, poses)
    figures = map_figures(found, maps)
    angle = angle_figures([normal_angles_deg(found, maps)])["mean"]
    loss, _ = map_loss(found, maps, MaterialTrainConfig())
    rmse = {f"{name}_rmse": each["rmse"] for name, each in figures.items()}
    return {"loss": float(loss), **rmse, "normal_deg": angle}


def keep_best(folder: Path, model: MaterialNet, config: MaterialTrainConfig, facts: dict[str, Any]) -> None:
    """Writes a checkpoint unless `folder` holds one of a lower loss."""
    kept = read_manifest(folder, KIND)["quality"]["loss"] if folder.is_dir() else math.inf
    if facts["quality"]["loss"] < kept:
        save_model(folder, model, config, facts)


def save_model(
    folder: Path,
    model: MaterialNet,
    config: MaterialTrainConfig,
    facts: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Writes a checkpoint `material-model` with its weights in `dtype`."""
    manifest = {"model": shape_of(config), "crop": config.crop, "config": asdict(config), **facts}
    tensors = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    save_checkpoint(folder, KIND, tensors, manifest)
