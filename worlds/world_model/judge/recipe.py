"""Recipe `judge.train`: fit the judge of keys to the frames of a block-world dataset."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.checkpoint import save_checkpoint
from terrarium.worlds.episodes.format import Dataset, Episode, open_dataset
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.task import Stage, Step, Task
from terrarium.worlds.world_model.data import data_facts, located, run_identity, share
from terrarium.worlds.world_model.judge.model import FRAMES, KEYS, Judge, f1, labels, mirror, soften, to_clips
from terrarium.worlds.world_model.kinds import JudgeConfig
from terrarium.worlds.world_model.tokenizer import channels_last

THRESHOLDS = np.linspace(0.1, 0.9, 17)


def train_judge(config: JudgeConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    dataset = open_dataset(config.data)
    _check(dataset)
    torch.manual_seed(config.seed)
    judge = channels_last(Judge(dataset.frame_size))
    clips, held_out = Clips(dataset.split("train")), Clips(dataset.split("val"))

    def loss_fn(_: Step, frames: torch.Tensor, held: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        x, target = mirror(soften(to_clips(frames)), held, torch.rand(len(held), device=held.device) < 0.5)
        logits, _features = judge(x)
        loss = F.binary_cross_entropy_with_logits(logits, target)
        return loss, {"accuracy": ((logits > 0) == (target > 0.5)).float().mean()}

    task = Task(
        model=judge,
        learners=[adamw(judge, loss_fn, lr=config.lr, steps=config.steps)],
        sample=lambda step: clips.sample(step.rng, config.batch, step.part),
    )
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=run_identity(config, dataset),
    )
    best = train([Stage("train", config.steps, lambda _: task)], loop, out_dir, progress)
    assert isinstance(best, Judge)
    rng = np.random.default_rng(config.seed)
    threshold = _thresholds(*_read(best, clips, rng))
    probability, held = _read(best, held_out, rng)
    quality = {k: round(float(v), 4) for k, v in zip(KEYS, f1(probability > threshold, held), strict=True)}
    manifest = {
        "judge": asdict(config) | {"data": "-"},
        "data": data_facts(dataset),
        "thresholds": {k: round(float(t), 3) for k, t in zip(KEYS, threshold, strict=True)},
        "held_out_f1": quality,
    }
    parallel.on_first(lambda: save_checkpoint(out_dir / "output", "judge", best.state_dict(), manifest))
    return {"held_out_f1": quality}


def _check(dataset: Dataset) -> None:
    if dataset.manifest["action_names"] != list(act.ACTION_NAMES):
        raise ValueError(f"dataset {dataset.path} has other keys: expected the block world's, {act.ACTION_NAMES}")
    height, width = dataset.frame_size
    if height % 16 or width % 16:
        raise ValueError(f"frames of {height}x{width}: the judge needs multiples of 16")


class Clips:
    """Three frames in a row, and what was held between the last two."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.episodes = episodes
        self.actions = [np.asarray(e.actions) for e in episodes]
        self.ends = np.cumsum([len(a) - 1 for a in self.actions])

    def sample(
        self, rng: np.random.Generator, n: int, part: tuple[int, int] = (0, 1)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """-> uint8 [n, 3, H, W, 3], float32 [n, 9]; `part` as in worlds.world_model.data."""
        picks = rng.integers(self.ends[-1], size=n)[share(n, part)]
        at = list(zip(*located(self.ends, picks), strict=True))
        frames = np.stack([self.episodes[e].frames[i : i + FRAMES] for e, i in at])
        actions = np.stack([self.actions[e][i + 1] for e, i in at])
        return torch.from_numpy(frames), torch.from_numpy(labels(actions).astype(np.float32))


def _read(judge: Judge, clips: Clips, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels [N, 9] of at most 4,096 clips."""
    frames, held = clips.sample(rng, min(4096, int(clips.ends[-1])))
    return judge.read(frames.numpy())[0][:, 0], held.numpy() > 0.5


def _thresholds(probability: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The threshold of each key that gives the best F1, [9]."""
    scores = np.stack([f1(probability > t, held) for t in THRESHOLDS])
    return THRESHOLDS[scores.argmax(axis=0)]
