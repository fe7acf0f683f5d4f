"""Recipe `tokenizer.train`: fit a VQ-VAE to the frames of a dataset."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.checkpoint import save_checkpoint, tensors_sha256
from terrarium.worlds.device import default_device
from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.pictures.metrics import psnr, save_strip
from terrarium.worlds.pictures.perceptual import LPIPS, hub_file
from terrarium.worlds.progress import Progress
from terrarium.worlds.training import parallel
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.task import Stage, Step, Task
from terrarium.worlds.world_model.data import FrameStore, data_facts, run_identity
from terrarium.worlds.world_model.kinds import TokenizerConfig
from terrarium.worlds.world_model.tokenizer import Tokenizer, channels_last, to_input


def train_tokenizer(config: TokenizerConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    dataset = open_dataset(config.data)
    torch.manual_seed(config.seed)
    tokenizer = channels_last(Tokenizer(config))
    lpips = _lpips(config)
    frames = FrameStore(dataset.split("train"))
    val = FrameStore(dataset.split("val"))
    held_out = val.sample(np.random.default_rng(config.seed), 64)

    def sample(step: Step) -> tuple[torch.Tensor]:
        return (torch.from_numpy(frames.sample(step.rng, config.batch, step.part)),)

    def loss_fn(step: Step, shown: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        x = to_input(shown)
        y, codes, commitment = tokenizer(x)
        l1 = (y - x).abs().mean()
        mse = ((y - x) ** 2).mean()
        loss = l1 + 2 * mse + 0.5 * _edge_loss(x, y) + commitment
        used = torch.tensor(float(codes.unique().numel()))
        metrics = {"l1": l1.detach(), "psnr": -10 * mse.detach().log10(), "codes_in_batch": used}
        if lpips is not None:
            distance = lpips(2 * y - 1, 2 * x - 1).mean()
            loss = loss + config.perceptual * distance
            metrics["lpips"] = distance.detach()
        return loss, metrics

    def preview(model: torch.nn.Module, step: int) -> None:
        assert isinstance(model, Tokenizer)
        shown = held_out[:12]
        save_strip(out_dir / "reconstruction.png", [shown, model.decode(model.encode(shown)).cpu().numpy()])
        progress.preview("reconstruction", out_dir / "reconstruction.png")
        progress.metrics(step, {f"val_{k}": v for k, v in measure(model, held_out).items()})

    task = Task(
        model=tokenizer,
        learners=[adamw(tokenizer, loss_fn, lr=config.lr, steps=config.steps)],
        sample=sample,
        ema=0.99,
        preview=preview,
    )
    loop = Loop(
        seed=config.seed,
        accumulate=config.accumulate,
        log_every=config.log_every,
        checkpoint_every_s=config.checkpoint_every_s,
        identity=run_identity(config, dataset, **({} if lpips is None else {"lpips": lpips.facts})),
    )
    best = train([Stage("train", config.steps, lambda _: task)], loop, out_dir, progress)
    assert isinstance(best, Tokenizer)
    quality = measure(best, val.sample(np.random.default_rng(1), 512))
    manifest = {
        "tokenizer": asdict(config) | {"data": "-"},
        "tokenizer_sha256": tensors_sha256(best.state_dict()),
        "data": data_facts(dataset),
        "quality": quality,
    }
    if lpips is not None:
        manifest["perceptual"] = lpips.facts | {"weight": config.perceptual}
    parallel.on_first(lambda: save_checkpoint(out_dir / "output", "tokenizer", best.state_dict(), manifest))
    return quality


def _lpips(config: TokenizerConfig) -> LPIPS | None:
    if config.perceptual == 0:
        return None
    name = config.perceptual_weights
    return LPIPS(config.perceptual_trunk, hub_file(name) if name else None).to(default_device())


def _edge_loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """L1 between neighbour differences: keeps the seams of blocks where L1 alone would smear them."""
    across = (x.diff(dim=3) - y.diff(dim=3)).abs().mean()
    return across + (x.diff(dim=2) - y.diff(dim=2)).abs().mean()


def measure(tokenizer: Tokenizer, frames: np.ndarray) -> dict[str, float]:
    """Reconstruction PSNR (dB), codes used, perplexity of the code histogram, on uint8 [N, H, W, 3]."""
    codes = tokenizer.encode(frames)
    p = torch.bincount(codes.flatten()).double()
    p = p[p > 0] / p.sum()
    return {
        "psnr": round(float(psnr(tokenizer.decode(codes).cpu().numpy(), frames).mean()), 3),
        "codes_used": len(p),
        "perplexity": round(float(torch.exp(-(p * p.log()).sum())), 1),
    }
