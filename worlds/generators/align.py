"""Recipe `generator.align`: adapters beside a generator's layers learn what a reward wants.

Measured every so many steps, with the same noise each time: mean reward, and how far worlds moved from structures
(Frechet distance), from each other (diversity) and from their captions (class accuracy). A run ends where distance or
diversity leave their budgets. What is made is the generator of the best reward within them, adapters added to its
weights; pareto.py keeps every measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from terrarium.worlds.blocks.structures.source import Structure, structure
from terrarium.worlds.checkpoint import save_checkpoint
from terrarium.worlds.generators.classifier import SIDE, accuracy, load_classifier, shipped_classifier
from terrarium.worlds.generators.codes import check_types, encode, mixture
from terrarium.worlds.generators.data import as_ids, held_out
from terrarium.worlds.generators.evaluate import FIRST_SEED, drawn, spread
from terrarium.worlds.generators.fits import LEARNED
from terrarium.worlds.generators.kinds import AlignConfig
from terrarium.worlds.generators.lora import adapt
from terrarium.worlds.generators.model import KIND, Generator, load_generator, shipped_generator
from terrarium.worlds.generators.objectives import Follow
from terrarium.worlds.generators.pareto import Pareto, adapters_of
from terrarium.worlds.generators.rewards import Reward, Scene, Wish, random_cameras
from terrarium.worlds.generators.samplers import Plan
from terrarium.worlds.generators.snapshot import Snapshot
from terrarium.worlds.generators.weighted import weighted
from terrarium.worlds.pictures.frechet import frechet_distance
from terrarium.worlds.precision import casting_anew
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.lora import is_adapters, merge, weights
from terrarium.worlds.training.schedules import warm_up
from terrarium.worlds.training.states import identity
from terrarium.worlds.training.task import Learner, Stage, Step, Task
from terrarium.worlds.voxels.world import content_sha256, open_world

MAY_CHANGE = ("generator", "target", "steps", "checkpoint_every_s", "log_every")
CLIP = 1.0  # norm of the adapters' gradient
SHOWN = 4  # worlds of each measurement
VAL = "val_"  # of what is measured; `reward` without it is that of a step's own walks


def align_generator(config: AlignConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    parallel.join()
    torch.manual_seed(config.seed)
    folder = Path(config.generator) if config.generator else shipped_generator()
    generator, manifest = load_generator(folder)
    reward = reward_of(config, generator)
    prompts = prompts_of(config)
    for prompt in prompts:
        generator.captions.numbers(prompt)
    captions, measure = measurement(config, generator, reward)
    base, worlds = measure(generator)
    log = Pareto(out_dir, progress, base, captions[:SHOWN], config.vis_normal)
    parallel.on_first(lambda: log.begin(worlds))
    adapt(generator, config.rank)
    course = Course(generator)

    def draw(step: Step) -> tuple[Tensor]:
        seeds = step.rng.integers(2**31, size=config.batch)
        said = [str(step.rng.choice(prompts)) for _ in seeds] if prompts else captions_of(seeds, config)
        which, of = step.part
        return (generator.captions.tokens(np.array(said).reshape(of, -1)[which].tolist()),)

    def loss_fn(step: Step, tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with casting_anew(tokens.device):
            said, others = generator.read(tokens), generator.say([""] * len(tokens))
            texts = generator.captions.texts(tokens)
            loss, worth = Follow(generator, course.old, reward, config, said, others, texts, step.rng).loss()
        course.old.take(generator)
        return loss, {"reward": worth}

    def validate(model: nn.Module, step: int) -> Mapping[str, float]:
        assert isinstance(model, Generator)
        found, worlds = measure(model)
        if within(found, base, config) and found["reward"] > course.reward:
            course.best.take(model)
            course.reward.fill_(found["reward"])
            course.step.fill_(step)
        log.add(step, found, int(course.step), model, worlds)
        return {f"{VAL}{name}": value for name, value in found.items()}

    task = Task(
        model=generator,
        learners=[
            Learner(
                loss=loss_fn,
                optimizer=torch.optim.AdamW(weights(generator), lr=config.lr, weight_decay=0.0),
                schedule=warm_up(config.warmup),
                clip=CLIP,
            )
        ],
        sample=draw,
        ema=None,
        keep=is_adapters,
        extra=course,
        validate=validate,
        validate_every=config.measure_every,
        stop=lambda history: not within({k.removeprefix(VAL): v for k, v in history[-1].items()}, base, config),
    )
    inputs = {"base": manifest["sha256"]} | ({"target_sha256": content_sha256(config.target)} if config.target else {})
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=identity(config, MAY_CHANGE, **inputs),
    )
    train([Stage("align", config.steps, lambda _: task)], loop, out_dir, progress)
    course.best.give(generator)
    best, _ = measure(generator)
    adapters = adapters_of(generator)
    merge(generator)

    def save() -> None:
        save_aligned(out_dir / "output", generator, manifest, config, log, best)
        log.save_adapters(out_dir / "output", adapters)

    parallel.on_first(save)
    return {"base": base, "best": best, "step": log.best, "measurements": len(log.rows)}


def reward_of(config: AlignConfig, generator: Generator) -> Reward:
    """ValueError where it is not to be had, or the generator's worlds are not the classifier's."""
    if generator.size != SIDE:
        raise ValueError(f"the generator makes worlds of {generator.size} blocks a side: expected {SIDE}")
    target = None
    if config.target is not None:
        target = open_world(config.target).blocks
        check_types(target)
        if target.shape != (SIDE,) * 3:
            raise ValueError(f"target {config.target} has {list(target.shape)} blocks: expected {[SIDE] * 3}")
    names = config.rewards + config.own_rewards
    each = config.reward_weights or (1.0,) * len(names)
    models = {name: folder for name in LEARNED if (folder := getattr(config, f"{name}_model")) is not None}
    wish = Wish(
        material=config.material,
        target=target,
        models=models,
        angle_mask=config.apply_angle_mask,
        context=config.reward_context,
    )
    return weighted(dict(zip(names, each, strict=True)), wish, gradient=config.method != "ddpo")


def prompts_of(config: AlignConfig) -> list[str]:
    """Those whose reward, found beforehand, is below the threshold. ValueError for a file that does not fit them."""
    if config.reward_threshold is None:
        return list(config.prompts)
    assert config.precomputed_rewards is not None
    file = Path(config.precomputed_rewards)
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as e:
        raise ValueError(f"precomputed_rewards {file} cannot be read ({e}): expected a .npy of numbers") from None
    if found.shape != (len(config.prompts),) or not np.isfinite(found).all():
        raise ValueError(f"{file} holds {found.dtype} {list(found.shape)}: expected a number for each prompt")
    kept = [prompt for prompt, reward in zip(config.prompts, found, strict=True) if reward < config.reward_threshold]
    if not kept:
        raise ValueError(
            f"reward_threshold {config.reward_threshold}: every prompt has reached it, {found.min()} least"
        )
    return kept


def captions_of(seeds: Iterable[int], config: AlignConfig) -> list[str]:
    return [said_of(structure(int(seed), SIDE), config) for seed in seeds]


def said_of(made: Structure, config: AlignConfig) -> str:
    return made.caption if config.captions == "whole" else made.name


class Course(nn.Module):
    """What lives from step to step: the adapters of one step before, and those of the best measurement with its reward
    and step."""

    reward: Tensor
    step: Tensor

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.old, self.best = Snapshot(generator), Snapshot(generator)
        self.register_buffer("reward", torch.tensor(-1.0))
        self.register_buffer("step", torch.tensor(0))


Found = tuple[dict[str, float], list[np.ndarray]]  # figures, and the first of the worlds


def measurement(
    config: AlignConfig, generator: Generator, reward: Reward, first: int = FIRST_SEED
) -> tuple[list[str], Callable[[Generator], Found]]:
    """The captions, and a function that measures a generator, always on the same captions, noise and views; `first` is
    the seed of the held-out structures whose captions these are."""
    wanted = held_out(first, config.worlds, SIDE)
    classifier = load_classifier(shipped_classifier())
    features_real, _ = classifier.read([each.blocks for each in wanted])
    captions = [said_of(each, config) for each in wanted]
    plan = Plan(seeds=(), steps=config.sampling_steps, cfg=config.cfg, eta=config.eta)

    def measure(of: Generator) -> Found:
        made = drawn(of, captions, config.seed, plan)
        features, answers = classifier.read(made)
        cameras = random_cameras(np.random.default_rng(config.seed), SIDE, config.views, config.random_view)
        with torch.no_grad():
            worth = reward(Scene(*mixture(encode(as_ids(made))), cameras, captions)).mean()
        figures = {
            "reward": round(float(worth), 4),
            "fd": round(frechet_distance(features, features_real), 4),
            "diversity": round(spread(features), 4),
            "class_accuracy": round(accuracy(answers, wanted)["class"], 4),
        }
        return figures, made[:SHOWN]

    return captions, measure


def within(found: Mapping[str, float], base: Mapping[str, float], config: AlignConfig) -> bool:
    """Whether distance and diversity are within their budgets."""
    near = found["fd"] <= config.fd_budget * base["fd"]
    return near and found["diversity"] >= config.diversity_budget * base["diversity"]


def save_aligned(
    folder: Path,
    generator: Generator,
    manifest: Mapping[str, Any],
    config: AlignConfig,
    log: Pareto,
    best: Mapping[str, float],
) -> None:
    """Writes a checkpoint `generator` with what was measured on the way."""
    told = {k: v for k, v in manifest.items() if k in ("model", "vocabulary", "classes")}
    measured = {"measured": dict(best), "step": log.best, "of_base": log.base, "pareto": log.rows}
    facts = {"base": manifest["sha256"]} | measured
    save_checkpoint(folder, KIND, generator.state_dict(), told | {"config": asdict(config), "aligned": facts})
