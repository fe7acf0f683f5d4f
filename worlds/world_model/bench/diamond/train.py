"""DIAMOND's denoiser trained on a dataset, by the one training loop: batches, optimiser and clipping as published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.checkpoint import build, load_checkpoint, save_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.episodes.format import Dataset, Episode, open_dataset
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.schedules import warm_up
from terrarium.worlds.training.task import Batch, Learner, Stage, Step, Task
from terrarium.worlds.world_model.bench.diamond.model import CHANNELS, PAST, Diamond
from terrarium.worlds.world_model.data import data_facts, located, run_identity, share
from terrarium.worlds.world_model.tokenizer import channels_last, load_tokenizer, tokenizer_from

KIND = "diamond"  # of its checkpoints
WARM_UP = 100  # steps
DECAY = 0.01  # of weights; biases have none
CLIP = 1.0


@dataclass(frozen=True, kw_only=True)
class DiamondConfig:
    data: str
    tokenizer: str  # by which the evaluation compares pictures: nothing of it is trained or drawn
    channels: tuple[int, ...] = CHANNELS
    steps: int = 1000
    batch: int = 32
    lr: float = 1e-4
    seed: int = 0
    checkpoint_every_s: float = 60.0
    log_every: int = 10


def train_diamond(config: DiamondConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """`out_dir/output` gets a checkpoint that `load_diamond` reads; a run that was stopped goes on where it was."""
    dataset = open_dataset(config.data)
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=run_identity(config, dataset),
    )
    model = train([Stage("train", config.steps, lambda _: task_of(config, dataset))], loop, out_dir, progress)
    assert isinstance(model, Diamond)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    manifest = {
        "channels": list(config.channels),
        "tokenizer": asdict(model.tokenizer.config),
        "data": data_facts(dataset),
        "parameters": parameters,
    }
    parallel.on_first(lambda: save_checkpoint(out_dir / "output", KIND, model.state_dict(), manifest))
    return {"steps": config.steps, "parameters": parameters}


def task_of(config: DiamondConfig, dataset: Dataset) -> Task:
    """ValueError for frames that cannot be halved as often as the model does."""
    most = 2 ** (len(config.channels) - 1)
    if any(side % most for side in dataset.frame_size):
        size = "x".join(map(str, dataset.frame_size))
        raise ValueError(f"frames of {size}: {len(config.channels)} levels expect sides that are multiples of {most}")
    tokenizer, _ = load_tokenizer(Path(config.tokenizer))
    torch.manual_seed(config.seed)
    model = channels_last(Diamond(tokenizer, len(dataset.manifest["action_names"]), config.channels))
    episodes = dataset.split("train")
    learned = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in learned if p.ndim == 1], "weight_decay": 0.0},
    ]
    learner = Learner(
        loss=lambda _, *clips: (model.loss(*clips), {}),
        optimizer=torch.optim.AdamW(groups, config.lr),
        schedule=warm_up(WARM_UP),
        clip=CLIP,
    )
    return Task(
        model=model,
        learners=[learner],
        sample=lambda step: sample_clips(episodes, config.batch, step),
        ema=None,
        frozen=[model.tokenizer],
    )


def sample_clips(episodes: Sequence[Episode], n: int, step: Step) -> Batch:
    """This part of n clips -> frames uint8 [n, PAST + 1, H, W, 3], the actions between them float32 [n, PAST, A]."""
    ends = np.cumsum([len(e.frames) - PAST for e in episodes])
    which, first = located(ends, step.rng.integers(ends[-1], size=n)[share(n, step.part)])
    at = list(zip(which, first, strict=True))
    frames = np.stack([episodes[e].frames[i : i + PAST + 1] for e, i in at])
    actions = np.stack([episodes[e].actions[i : i + PAST] for e, i in at])
    return torch.from_numpy(frames), torch.from_numpy(actions)


def load_diamond(folder: Path) -> tuple[Diamond, dict[str, Any]]:
    """-> model in eval mode on the default device, manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, KIND)
    actions, channels = len(manifest["data"]["action_names"]), tuple(manifest["channels"])
    model = build(lambda: channels_last(Diamond(tokenizer_from(manifest), actions, channels)), tensors, folder)
    return model.to(default_device()).eval(), manifest
