"""Recipe `prior.train`: a diffusion model of pictures of captioned structures, for guidance `blocks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.blocks.structures.source import CLASSES, structure
from terrarium.worlds.checkpoint import save_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.pictures.metrics import save_strip
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.states import identity
from terrarium.worlds.training.task import Stage, Step, Task
from terrarium.worlds.voxels.kinds import PriorConfig
from terrarium.worlds.voxels.prior.data import Shown, picture, shown
from terrarium.worlds.voxels.prior.model import STEPS, Looking, Prior

MAY_CHANGE = ("steps", "checkpoint_every_s", "log_every", "validate_every")
HIGH = 1.5  # times are drawn with density t^(HIGH - 1): score distillation asks at high noise
LEAST_VARIANCE = 0.1  # of the noise, by which an error is divided
SHEET = ("castle", "house", "tower", "tree", "ship", "pyramid", "bridge", "lighthouse")


def train_prior(config: PriorConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    torch.manual_seed(config.seed)
    prior = Prior(vocabulary(), config.channels, config.text)
    held_out = [shown(np.random.default_rng([config.seed, i]), "held_out", whole=True) for i in range(128)]

    def sample(step: Step) -> tuple[Tensor, ...]:
        which, of = step.part
        seeds = step.rng.integers(2**31, size=config.batch).reshape(of, -1)[which]
        return as_batch(prior, [shown(np.random.default_rng(seed)) for seed in seeds])

    def loss_fn(_: Step, clean: Tensor, tokens: Tensor, *angles: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        t = (STEPS * torch.rand(len(clean), device=clean.device) ** (1 / HIGH)).long()
        return picture_loss(prior, clean, t, torch.randn_like(clean), tokens, Looking(*angles)), {}

    def validate(model: nn.Module, _: int) -> dict[str, float]:
        assert isinstance(model, Prior)
        return measure(model, held_out)

    def preview(model: nn.Module, _: int) -> None:
        assert isinstance(model, Prior)
        save_strip(out_dir / "samples.png", sheet(model))
        progress.preview("samples", out_dir / "samples.png")

    task = Task(
        model=prior,
        learners=[adamw(prior, loss_fn, lr=config.lr, steps=config.steps, warmup=200)],
        sample=sample,
        ema=config.ema,
        validate=validate,
        validate_every=config.validate_every,
        preview=preview,
    )
    loop = Loop(
        seed=config.seed,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=identity(config, MAY_CHANGE),
    )
    best = train([Stage("train", config.steps, lambda _: task)], loop, out_dir, progress)
    assert isinstance(best, Prior)
    quality = measure(best, held_out)
    parallel.on_first(lambda: save_prior(out_dir / "output", best, config, quality))
    return quality


def as_batch(prior: Prior, examples: Sequence[Shown]) -> tuple[Tensor, ...]:
    """-> pictures [B, 3, 64, 64] in [-1, 1], tokens [B, L], azimuths and elevations [B] in degrees."""
    pictures = torch.from_numpy(np.stack([each.picture for each in examples])).permute(0, 3, 1, 2)
    angles = torch.tensor([[each.azimuth_deg, each.elevation_deg] for each in examples]).T
    return (pictures / 127.5 - 1).contiguous(), prior.captions.tokens([each.said for each in examples]), *angles


def picture_loss(prior: Prior, clean: Tensor, t: Tensor, noise: Tensor, tokens: Tensor, looking: Looking) -> Tensor:
    """Mean squared error of the clean picture at times t [B] over sigma^2, which makes it that of v = (alpha z - x) /
    sigma (Salimans & Ho 2022, arXiv:2202.00512), save for the least noise."""
    alpha, sigma = prior.levels(t)
    error = (prior(alpha * clean + sigma * noise, t, tokens, looking) - clean).square()
    return (error / sigma.square().clamp(min=LEAST_VARIANCE)).mean()


@torch.no_grad()
def measure(prior: Prior, examples: Sequence[Shown]) -> dict[str, float]:
    """On structures whose combinations were held out: the loss at three noise levels, and how much larger it is
    without the caption at the highest (`caption_gain`, 1 where captions are ignored)."""
    device = default_device()
    clean, tokens, *angles = (x.to(device) for x in as_batch(prior, examples))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).to(device)
    empty, looking = tokens.clone(), Looking(*angles)
    empty[:, 1:] = 0

    def error(t: int, said: Tensor) -> float:
        return float(picture_loss(prior, clean, torch.full((len(clean),), t, device=device), noise, said, looking))

    found = {f"loss_t{t}": error(t, tokens) for t in (300, 600, 900)}
    return found | {"caption_gain": error(900, empty) / found["loss_t900"]}


def sheet(prior: Prior) -> list[np.ndarray]:
    """Two rows of samples from two sides, and the structures that their captions were written for."""
    made = [structure(7, 16, name=name, split="held_out") for name in SHEET]
    rows = []
    for azimuth in (30.0, 200.0):
        n = len(made)
        looking = Looking(torch.full((n,), azimuth), torch.full((n,), 25.0))
        looking = Looking(*(angle.to(default_device()) for angle in looking))
        sampled = prior.sample([each.caption for each in made], looking, cfg=3.0, steps=8, seed=0)
        rows.append((255 * sampled).round().byte().permute(0, 2, 3, 1).cpu().numpy())
        rows.append(np.stack([picture(each.blocks, azimuth, 25.0) for each in made]))
    return rows


def save_prior(
    folder: Path, prior: Prior, config: PriorConfig, quality: dict[str, float], dtype: torch.dtype = torch.float32
) -> None:
    """Writes a checkpoint `voxel-prior` with its weights in `dtype`."""
    manifest = {
        "model": {"channels": list(config.channels), "text": config.text},
        "vocabulary": list(prior.captions.vocabulary),
        "classes": sorted(CLASSES),
        "config": asdict(config),
        "quality": quality,
    }
    tensors = {name: tensor.to(dtype) for name, tensor in prior.state_dict().items()}
    save_checkpoint(folder, "voxel-prior", tensors, manifest)
