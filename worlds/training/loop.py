"""The one training loop: AdamW, clipping, EMA, progress, previews, atomic states, exact resume, stop.

A run is a function of its config. Everything random in step s is drawn from generators seeded by (seed, s), so a
state needs no random state and no data position: a run killed at any point and resumed from its newest state
repeats the same steps bit for bit. The learning rate warms up, stays, and falls to zero over the last `decay` of the
steps (warmup-stable-decay, Hu et al. 2024, arXiv:2404.06395), so that a run can be lengthened before its decay.

A step's batch is computed in equal parts: `accumulate` parts in each process, one after the other, and as many
processes as torchrun starts (parallel.py). A part is a function of (seed, s, part), whoever computes it, so two
processes repeat the run of one that accumulates two parts, up to rounding. Batches are loaded in a thread, ahead.

On CUDA: bf16 autocast, pinned memory, copies beside the computation. Written, not measured.
"""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from worlds.checkpoint import load_checkpoint, save_checkpoint
from worlds.device import default_device
from worlds.progress import Progress, RecipeError, Silent, Stopped
from worlds.training import parallel
from worlds.training.prefetch import prefetch

Metrics = Mapping[str, float]
Batch = tuple[torch.Tensor, ...]


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
    accumulate: int = 1  # parts of a batch that a process computes one after the other: less memory
    log_every: int = 10
    checkpoint_every_s: float = 60.0
    keep_states: int = 2
    resume_key: str = ""  # hash of what must not differ between the runs of one state (config, data)


@dataclass
class Step:
    """What a recipe's functions get: its step, of how many, which part of the batch, its own source of randomness.

    All parts of a step draw from the same `rng`: first the sampling function, for the whole batch, then the loss.
    """

    index: int
    total: int
    part: tuple[int, int]  # which, of how many
    rng: np.random.Generator

    @property
    def done(self) -> float:
        return self.index / self.total


SampleFn = Callable[[Step], Batch]  # called in a thread, ahead of time; gives the step's part of the batch
LossFn = Callable[..., tuple[torch.Tensor, dict[str, torch.Tensor]]]  # (step, *batch) -> loss, metrics


def train(
    model: nn.Module,
    sample: SampleFn,
    loss_fn: LossFn,
    loop: Loop,
    out_dir: Path,
    progress: Progress,
    preview: Callable[[nn.Module, int], None] | None = None,
) -> nn.Module:
    """Runs (or resumes) to the end and returns the EMA model, on the CPU in eval mode.

    Raises Stopped (state saved), RecipeError(nan_loss), and ValueError where the saved state is of another run.
    """
    parallel.join()
    first_process = parallel.rank() == 0
    reporter = progress if first_process else Silent()
    trainer = Trainer(model, loss_fn, loop, out_dir / "state", reporter)
    first = trainer.resume()
    if parallel.any_of(parallel.mean(torch.tensor([float(first)])).item() != first):
        raise ValueError(f"found the state of step {first}, other processes another: expected a disk that all share")
    saved_at = time.monotonic()
    with prefetch(lambda step: (step, trainer.pinned(sample(step))), trainer.parts(first)) as batches:
        for index in range(first, loop.steps):
            metrics = trainer.step(index, batches)
            done = index + 1
            reporter.step(done, loop.steps, "train")
            if done % loop.log_every == 0 or done == loop.steps:
                reporter.metrics(done, means(metrics))
            stop = parallel.any_of(progress.stop_requested())
            due = loop.checkpoint_every_s > 0 and time.monotonic() - saved_at >= loop.checkpoint_every_s
            if first_process and (stop or due or done == loop.steps):
                trainer.save(done)
                saved_at = time.monotonic()
                if preview is not None and not stop:
                    preview(trainer.ema_model(), done)
            if stop and done < loop.steps:
                raise Stopped
    return trainer.ema_model()


class Trainer:
    """Model, optimizer and EMA, and what one step does with them."""

    def __init__(self, model: nn.Module, loss_fn: LossFn, loop: Loop, states: Path, progress: Progress) -> None:
        self.device = default_device()
        self.model, self.loop, self.states, self.progress = model.to(self.device), loop, states, progress
        self.objective: nn.Module = Objective(model, loss_fn)
        if parallel.world_size() > 1:
            self.objective = DistributedDataParallel(self.objective)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=loop.lr, betas=(0.9, 0.99), weight_decay=loop.weight_decay
        )
        self.ema = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def parts(self, first: int) -> Iterator[Step]:
        """This process's parts of all the steps from `first` on."""
        loop, every = self.loop, self.loop.accumulate * parallel.world_size()
        for index in range(first, loop.steps):
            for i in range(loop.accumulate):
                part = (parallel.rank() * loop.accumulate + i, every)
                yield Step(index, loop.steps, part, np.random.default_rng([loop.seed, index]))

    def pinned(self, batch: Batch) -> Batch:
        """In memory from which CUDA copies beside the computation."""
        return tuple(x.pin_memory() for x in batch) if self.device.type == "cuda" else batch

    def step(self, index: int, batches: Iterator[tuple[Step, Batch]]) -> dict[str, torch.Tensor]:
        """-> the means of the parts' metrics."""
        loop = self.loop
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = loop.lr * lr_factor(index, loop)
        self.optimizer.zero_grad(set_to_none=True)
        parts = []
        for i in range(loop.accumulate):
            step, batch = self.load(batches)
            with self.exchange(i + 1 == loop.accumulate):
                loss, metrics = self.forward(step, batch)
                self.backward(loss / loop.accumulate)
            parts.append(metrics | {"loss": loss.detach()})
        mean = {k: torch.stack([p[k].float() for p in parts]).mean() for k in parts[0]}
        norm = self.update()
        if not torch.isfinite(norm):
            found = f"loss {mean['loss'].item()}, gradient norm {norm.item()}"
            raise RecipeError("nan_loss", f"step {index + 1}: {found}; lower lr")
        self.average(index)
        return mean | {"grad_norm": norm, "lr": torch.tensor(group["lr"])}

    def load(self, batches: Iterator[tuple[Step, Batch]]) -> tuple[Step, Batch]:
        step, batch = next(batches)
        return step, tuple(x.to(self.device, non_blocking=True) for x in batch)

    def forward(self, step: Step, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed((step.part[0] << 40) + self.loop.seed * 1_000_003 + step.index)
        on = self.device.type == "cuda" or cpu_has_bf16()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on):
            return self.objective(step, *batch)

    def exchange(self, last: bool) -> AbstractContextManager[None]:
        """The processes exchange gradients once a step, in the backward pass of its last part."""
        if isinstance(self.objective, DistributedDataParallel) and not last:
            return self.objective.no_sync()
        return nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def update(self) -> torch.Tensor:
        """-> the gradient's norm before it was clipped."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self.loop.clip)
        self.optimizer.step()
        return norm

    @torch.no_grad()
    def average(self, index: int) -> None:
        """Moves the EMA towards the weights; what is no float, such as a counter, is copied."""
        decay = min(self.loop.ema, (1 + index) / (10 + index))  # short memory at the start
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def ema_model(self) -> nn.Module:
        """A copy of the model with the EMA weights, on the CPU."""
        clone = copy.deepcopy(self.model)
        clone.load_state_dict(self.ema)
        return clone.cpu().eval()

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
            self._load({k: v.to(self.device) for k, v in tensors.items()})
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


class Objective(nn.Module):
    """The loss as a module around the model: what DistributedDataParallel wraps, called once a part."""

    def __init__(self, model: nn.Module, loss_fn: LossFn) -> None:
        super().__init__()
        self.model, self.loss_fn = model, loss_fn

    def forward(self, step: Step, *batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.loss_fn(step, *batch)


def means(metrics: dict[str, torch.Tensor]) -> dict[str, float]:
    """Over the processes."""
    values = parallel.mean(torch.stack([v.float().cpu() for v in metrics.values()]))
    return dict(zip(metrics, values.tolist(), strict=True))


def cpu_has_bf16() -> bool:
    """Whether bf16 pays here: without AVX512-BF16 or AMX a bf16 convolution ran at a third of the speed of fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def lr_factor(index: int, loop: Loop) -> float:
    """Warm-up, plateau, cosine fall to zero over the last `decay` of the steps."""
    warm = min(1.0, (index + 1) / max(1, min(loop.warmup, loop.steps // 4)))
    left = (loop.steps - index) / max(1.0, loop.decay * loop.steps)
    return warm * (0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))
