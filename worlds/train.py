"""The one training loop: AdamW, clipping, EMA, progress, previews, atomic states, exact resume, stop.

A run is a function of its config. Everything random in step s is drawn from generators seeded by (seed, s), so a
state needs no random state and no data position: a run killed at any point and resumed from its newest state
repeats the same steps bit for bit. The learning rate warms up, stays, and falls to zero over the last `decay` of the
steps (warmup-stable-decay, Hu et al. 2024, arXiv:2404.06395), so that a run can be lengthened before its decay.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from worlds.checkpoint import load_checkpoint, save_checkpoint
from worlds.progress import Progress, RecipeError, Stopped

Metrics = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Loop:
    steps: int
    lr: float
    seed: int
    warmup: int = 50
    decay: float = 0.3
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.995
    log_every: int = 10
    checkpoint_every_s: float = 60.0
    keep_states: int = 2
    resume_key: str = ""  # hash of what must not differ between the runs of one state (config, data)


@dataclass
class Step:
    """What a loss function gets: its step, of how many, and its own source of randomness."""

    index: int
    total: int
    rng: np.random.Generator

    @property
    def done(self) -> float:
        return self.index / self.total


LossFn = Callable[[Step], tuple[torch.Tensor, dict[str, torch.Tensor]]]


def train(
    model: nn.Module,
    loss_fn: LossFn,
    loop: Loop,
    out_dir: Path,
    progress: Progress,
    preview: Callable[[nn.Module, int], None] | None = None,
) -> nn.Module:
    """Runs (or resumes) to the end and returns the EMA model, in eval mode.

    Raises Stopped (state saved), RecipeError(nan_loss), and ValueError where the saved state is of another run.
    """
    run = _Run(model, loop, out_dir / "state", progress)
    first = run.resume()
    saved_at = time.monotonic()
    for index in range(first, loop.steps):
        metrics = run.step(index, loss_fn)
        done = index + 1
        progress.step(done, loop.steps, "train")
        if done % loop.log_every == 0 or done == loop.steps:
            progress.metrics(done, {k: v.item() for k, v in metrics.items()})
        stop = progress.stop_requested()
        due = loop.checkpoint_every_s > 0 and time.monotonic() - saved_at >= loop.checkpoint_every_s
        if stop or due or done == loop.steps:
            run.save(done)
            saved_at = time.monotonic()
            if preview is not None and not stop:
                preview(run.ema_model(), done)
        if stop and done < loop.steps:
            raise Stopped
    return run.ema_model()


class _Run:
    def __init__(self, model: nn.Module, loop: Loop, states: Path, progress: Progress) -> None:
        self.model, self.loop, self.states, self.progress = model, loop, states, progress
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=loop.lr, betas=(0.9, 0.99), weight_decay=loop.weight_decay
        )
        self.ema = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def step(self, index: int, loss_fn: LossFn) -> dict[str, torch.Tensor]:
        loop = self.loop
        torch.manual_seed(loop.seed * 1_000_003 + index)
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = loop.lr * lr_factor(index, loop)
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
            loss, metrics = loss_fn(Step(index, loop.steps, np.random.default_rng([loop.seed, index])))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, loop.clip)
        if not torch.isfinite(norm):
            raise RecipeError(
                "nan_loss", f"step {index + 1}: loss {loss.item()}, gradient norm {norm.item()}; lower lr"
            )
        self.optimizer.step()
        self._update_ema(index)
        return metrics | {"loss": loss.detach(), "grad_norm": norm, "lr": torch.tensor(group["lr"])}

    @torch.no_grad()
    def _update_ema(self, index: int) -> None:
        decay = min(self.loop.ema, (1 + index) / (10 + index))  # short memory at the start
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def ema_model(self) -> nn.Module:
        """A copy of the model with the EMA weights."""
        import copy

        clone = copy.deepcopy(self.model)
        clone.load_state_dict(self.ema)
        return clone.eval()

    def save(self, step: int) -> None:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        folder = self.states / f"step_{step:09d}"
        save_checkpoint(folder, "training-state", tensors, {"step": step, "resume_key": self.loop.resume_key})
        self.progress.checkpoint(step, folder)
        for old in sorted(self.states.glob("step_*[0-9]"))[: -self.loop.keep_states]:
            shutil.rmtree(old)

    def resume(self) -> int:
        """Loads the newest state that verifies and returns its step; 0 where there is none."""
        for folder in sorted(self.states.glob("step_*[0-9]"), reverse=True):
            try:
                tensors, manifest = load_checkpoint(folder, "training-state")
            except ValueError:
                continue  # a damaged state: fall back to the one before
            if manifest["resume_key"] != self.loop.resume_key:
                raise ValueError(f"{folder} belongs to another config or dataset: use an empty folder for this run")
            self._load(tensors)
            self.progress.resumed(manifest["step"])
            return manifest["step"]
        return 0

    def _load(self, tensors: dict[str, torch.Tensor]) -> None:
        def part(prefix: str) -> dict[str, torch.Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.ema = part("ema.")
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in part("optimizer.").items():
            i, name = key.split(".", 1)
            state.setdefault(int(i), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def cpu_has_bf16() -> bool:
    """Whether bf16 pays here: without AVX512-BF16 or AMX a bf16 convolution ran at a third of the speed of fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def lr_factor(index: int, loop: Loop) -> float:
    """Warm-up, plateau, cosine fall to zero over the last `decay` of the steps."""
    warm = min(1.0, (index + 1) / max(1, min(loop.warmup, loop.steps // 4)))
    left = (loop.steps - index) / max(1.0, loop.decay * loop.steps)
    return warm * (0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))
