"""Recipe `probe.train`: fit the probe to the frames of a block-world dataset and what their pixels show.

The labels are not in the dataset: they are cast anew from each frame's recorded pose, in the world of its seed.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from terrarium.worlds.blocks.world import BlockWorld, world_of
from terrarium.worlds.checkpoint import save_checkpoint
from terrarium.worlds.episodes.format import Dataset, Episode, open_dataset
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.task import Stage, Step, Task
from terrarium.worlds.world_model.data import data_facts, located, run_identity, share
from terrarium.worlds.world_model.kinds import ProbeConfig
from terrarium.worlds.world_model.probe.model import CLASSES, Probe, classes, degrade, to_inputs
from terrarium.worlds.world_model.tokenizer import channels_last

MOST = 2048  # held-out frames
SURE = 0.25  # of the cells of real frames are named surely


def train_probe(config: ProbeConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    dataset = open_dataset(config.data)
    _check(dataset)
    torch.manual_seed(config.seed)
    probe = channels_last(Probe(dataset.frame_size))
    views = Views(dataset, dataset.split("train"))

    def loss_fn(_: Step, frames: torch.Tensor, shown: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = probe(degrade(to_inputs(frames))).logits
        parts = {name: F.cross_entropy(logits[name].float(), shown[:, i].long()) for i, name in enumerate(CLASSES)}
        return torch.stack(list(parts.values())).sum(), parts

    task = Task(
        model=probe,
        learners=[adamw(probe, loss_fn, lr=config.lr, steps=config.steps)],
        sample=lambda step: views.sample(step.rng, config.batch, step.part),
    )
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=run_identity(config, dataset),
    )
    best = train([Stage("train", config.steps, lambda _: task)], loop, out_dir, progress)
    assert isinstance(best, Probe)
    accuracy, sure = _held_out(best, Views(dataset, dataset.split("val")), config.seed)
    manifest = {
        "probe": asdict(config) | {"data": "-"},
        "data": data_facts(dataset),
        "held_out_accuracy": accuracy,
        "sure": sure,
    }
    parallel.on_first(lambda: save_checkpoint(out_dir / "output", "probe", best.state_dict(), manifest))
    return {"held_out_accuracy": accuracy, "sure": sure}


def _check(dataset: Dataset) -> None:
    source = dataset.manifest["source"]
    if source["kind"] != "blocks":
        raise ValueError(f"dataset {dataset.path} shows {source['kind']}: expected block worlds, which have labels")
    height, width = dataset.frame_size
    if height % 8 or width % 8:
        raise ValueError(f"frames of {height}x{width}: the probe needs multiples of 8")


class Views:
    """Frames, and the classes that their cells show, which are held in memory: a quarter of the frames' bytes."""

    def __init__(self, dataset: Dataset, episodes: list[Episode]) -> None:
        height, width = dataset.frame_size
        world = world_of(dataset.manifest["source"], width, height)
        self.episodes, self.shown = episodes, [_shown(world, e) for e in episodes]
        self.ends = np.cumsum([len(e.frames) for e in episodes])

    def sample(
        self, rng: np.random.Generator, n: int, part: tuple[int, int] = (0, 1)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """-> uint8 [n, H, W, 3], uint8 [n, 3, H/2, W/2]; `part` as in worlds.world_model.data."""
        picks = rng.integers(self.ends[-1], size=n)[share(n, part)]
        at = list(zip(*located(self.ends, picks), strict=True))
        frames = np.stack([self.episodes[e].frames[i] for e, i in at])
        shown = np.stack([self.shown[e][i] for e, i in at])
        return torch.from_numpy(frames), torch.from_numpy(shown)


def _shown(world: BlockWorld, episode: Episode) -> np.ndarray:
    """-> uint8 [T, 3, H/2, W/2]."""
    assert episode.pose is not None, "a walk in the block world records poses"
    return np.stack([classes(world.labels(episode.seed, pose)) for pose in episode.pose])


@torch.inference_mode()
def _held_out(probe: Probe, views: Views, seed: int) -> tuple[dict[str, float], float]:
    """On at most MOST clean frames: the share of the cells whose likeliest class is the true one, and the joint
    probability that SURE of the cells' answers reach."""
    frames, shown = views.sample(np.random.default_rng(seed), min(MOST, int(views.ends[-1])))
    device = probe.out.weight.device
    hits = dict.fromkeys(CLASSES, 0.0)
    for x, y in zip(frames.split(256), shown.split(256), strict=True):
        logits = probe(to_inputs(x.to(device))).logits
        for i, name in enumerate(CLASSES):
            hits[name] += (logits[name].argmax(dim=1).cpu() == y[:, i]).float().mean(dim=(1, 2)).sum().item()
    sure = np.quantile(probe.read(frames.numpy()).confidence, 1 - SURE)
    return {name: round(hit / len(frames), 4) for name, hit in hits.items()}, round(float(sure), 4)
