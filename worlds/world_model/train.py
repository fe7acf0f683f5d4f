"""Recipe `world-model.train`: ConvGRU dynamics on the codes of a tokenizer; losses.py has what is minimised."""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.kernels.codes import nats
from terrarium.kernels.cpu import compiled
from terrarium.worlds.checkpoint import load_checkpoint, load_into, save_checkpoint, tensors_sha256
from terrarium.worlds.device import default_device
from terrarium.worlds.episodes.format import Dataset, open_dataset
from terrarium.worlds.pictures.metrics import psnr, save_strip
from terrarium.worlds.precision import training_precision
from terrarium.worlds.progress import Part, Progress, go_on
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.task import Stage, Task
from terrarium.worlds.world_model.data import ClipStore, data_facts, run_identity, tokenise
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.geometry import nearness
from terrarium.worlds.world_model.kinds import WorldModelConfig, first_tokenizer
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.painter_losses import Painting
from terrarium.worlds.world_model.rollout import burn_in, load_world_model, rollout
from terrarium.worlds.world_model.starts import save_starts
from terrarium.worlds.world_model.tokenizer import Tokenizer, channels_last, load_tokenizer, to_pictures
from terrarium.worlds.world_model.train_painter import painter_stages, painter_steps
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer
from terrarium.worlds.world_model.views import camera_of

WORTH_PROGRAMS = 50  # steps: each gains a fifth of a second (preset cpu), compiling takes two


def train_world_model(config: WorldModelConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Without a tokenizer, `out_dir/tokenizer` gets one first; a stop there goes on there."""
    started = time.monotonic()
    dataset = open_dataset(config.data)
    folder, progress = tokenizer_first(config, out_dir, progress)
    tokenizer, tokenizer_manifest = load_tokenizer(folder)

    def at_work() -> None:
        go_on(progress, 0, config.steps, "tokenise")

    train_clips, val_clips = (
        load_clips(dataset, split, tokenizer, config, out_dir, at_work) for split in ("train", "val")
    )
    model = new_model(config, dataset, tokenizer)
    inputs = {"tokenizer": tokenizer_manifest["sha256"]}
    if config.start:
        inputs["start"] = go_on_from(Path(config.start), model)
    held_out = val_clips.sample(np.random.default_rng(config.seed), 16)

    def preview(ema: torch.nn.Module, step: int) -> None:
        values, rows = _look(world_model_of(ema), *held_out)
        save_strip(out_dir / "rollout.png", rows)
        progress.preview("rollout", out_dir / "rollout.png")
        progress.metrics(step, values)

    losses = Losses(model, config, camera_of(dataset.manifest), training_programs(config))
    task = Task(
        model=model,
        learners=[adamw(model, losses, lr=config.lr, steps=config.steps)],
        sample=lambda step: train_clips.sample(step.rng, config.batch, step.part),
        ema=config.ema,
        preview=preview,
    )
    loop = Loop(
        seed=config.seed,
        accumulate=config.accumulate,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=run_identity(config, dataset, **inputs),
    )
    stages = [Stage("train", config.steps, lambda _: task)]
    if config.painter and not config.keep_painter:
        stages += painter_stages(config, dataset, preview)
    ema = world_model_of(train(stages, loop, out_dir, progress))
    if config.keep_painter:
        ema.painter = load_world_model(Path(config.start or ""))[0].painter
    values, _ = _look(ema, *held_out)

    def save() -> None:
        save_world_model(out_dir / "output", ema, data_facts(dataset))
        if dataset.manifest["source"]["kind"] != "blocks":
            save_starts(out_dir / "output", dataset)

    parallel.on_first(save)
    seconds = round(time.monotonic() - started, 1)
    return {
        "steps": sum(stage.steps for stage in stages),
        "parameters": sum(p.numel() for p in ema.parameters() if p.requires_grad),
        "seconds": seconds,
    } | values


def training_programs(config: WorldModelConfig) -> ctypes.CDLL | None:
    """Compiled programs, where they pay: on a processor, in a run that is not over before they are compiled."""
    pays = default_device().type == "cpu" and config.steps >= WORTH_PROGRAMS and not config.compile
    return compiled() if pays else None


def world_model_of(model: torch.nn.Module) -> Dynamics:
    """What a stage has trained, without what was only needed to train it."""
    dynamics = model.dynamics if isinstance(model, Painting) else model
    assert isinstance(dynamics, Dynamics)
    return dynamics


def tokenizer_first(config: WorldModelConfig, out_dir: Path, progress: Progress) -> tuple[Path, Progress]:
    """The tokenizer's folder, and the progress of what follows. If none is given, one is trained as a first part."""
    if given := config.tokenizer or config.start:
        return Path(given), progress
    folder, total = out_dir / "tokenizer", config.tokenizer_steps + config.steps + painter_steps(config)
    if not (folder / "output" / "manifest.json").is_file():
        train_tokenizer(first_tokenizer(config), folder, Part(progress, 0, total, "tokenizer"))
    return folder / "output", Part(progress, config.tokenizer_steps, total)


def new_model(config: WorldModelConfig, dataset: Dataset, tokenizer: Tokenizer) -> Dynamics:
    """An untrained model for the dataset's frames and actions, on the default device; the same for the same seed."""
    torch.manual_seed(config.seed)
    height, width = dataset.frame_size
    grid = (height // DOWN, width // DOWN)
    camera = camera_of(dataset.manifest)
    model = channels_last(Dynamics(config, tokenizer, grid, len(dataset.manifest["action_names"]), camera))
    model.to(default_device())
    if config.compile:
        model.compile_parts()
    return model


def go_on_from(folder: Path, model: Dynamics) -> str:
    """Loads the weights of a trained world model -> their sha256. ValueError where shape or tokenizer is another."""
    tensors, manifest = load_checkpoint(folder, "world-model")
    for name, mine in model.tokenizer.state_dict(prefix="tokenizer.").items():
        if name not in tensors or not torch.equal(tensors[name], mine.cpu()):
            raise ValueError(f"start: {folder} was trained with another tokenizer; give it as the tokenizer, too")
    given = {k: v for k, v in tensors.items() if not k.startswith("painter.")}
    if model.moving_camera is not None and not any(k.startswith("moving_camera.") for k in given):
        given |= model.moving_camera.state_dict(prefix="moving_camera.")
    load_into(model, given, folder)
    return manifest["sha256"]


def save_world_model(folder: Path, model: Dynamics, data: dict[str, Any]) -> None:
    """A playable checkpoint: dynamics with its tokenizer, and what they were trained on."""
    unnamed = {"data": "-", "tokenizer": "-", "start": model.config.start and "-"}  # no paths: a checkpoint travels
    manifest = {
        "dynamics": asdict(model.config) | unnamed,
        "tokenizer": asdict(model.tokenizer.config),
        "tokenizer_sha256": tensors_sha256(model.tokenizer.state_dict()),
        "grid": list(model.grid),
        "painter": model.painter is not None,
        "data": data,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "machine": {
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "precision": training_precision(default_device()),
        },
    }
    save_checkpoint(folder, "world-model", model.state_dict(), manifest)


def load_clips(
    dataset: Dataset,
    split: str,
    tokenizer: Tokenizer,
    config: WorldModelConfig,
    out_dir: Path,
    at_work: Callable[[], None] = lambda: None,
) -> ClipStore:
    """Clips of a split, tokenised; the codes are kept in `out_dir`. `at_work` is called before each episode."""
    episodes = dataset.split(split)
    codes = tokenise(episodes, tokenizer, out_dir / f"codes_{split}.npy", at_work)
    near = nearness(dataset, split, out_dir / f"near_{split}.npy", at_work) if config.true_flow else None
    return ClipStore(episodes, codes, config.frames, config.rare_share, near)


@torch.no_grad()
def _look(
    model: Dynamics, codes: torch.Tensor, actions: torch.Tensor, frames_u8: torch.Tensor, *_: torch.Tensor
) -> tuple[dict[str, float], list[np.ndarray]]:
    """Held-out cross-entropy, and rows for a strip: real frames above the model's free rollout."""
    frames, codes, actions = frames_u8.numpy(), codes.to(model.device), actions.to(model.device)
    p = model(codes[:, :-1], to_pictures(frames).to(model.device)[:, :-1], actions, model.initial(len(codes)))
    held_out = nats(p.logits, codes[:, 1:], model.factors).mean().item()
    real = model.config.burn_in
    state = burn_in(model, frames[:, :real], actions[:, : real - 1])
    own = rollout(model, state, actions[:, real - 1 :], temperature=0.0).frames
    values = {"val_ce": round(held_out, 4), "val_psnr": round(float(psnr(own, frames[:, real:]).mean()), 3)}
    free = np.concatenate([frames[:, :real], own], axis=1)
    return values, [x for pair in zip(frames[:4], free[:4], strict=True) for x in pair]
