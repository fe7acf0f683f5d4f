"""How fast training is, and what takes the time: the fast path in fp32 and in the precision that training takes here,
against the eager dynamics in fp32 (eager.py).

All make the same steps with the same losses, in turns: what else runs on the machine slows all. A speed-up is the
median over the steps, by the clock or, for a busy machine, by processor time. Where no dataset is given a small one is
recorded; the tokenizer is untrained, which takes the same time as a trained one.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from terrarium.kernels.cpu import compiled
from terrarium.worlds.device import synchronize
from terrarium.worlds.episodes.format import open_dataset
from terrarium.worlds.kinds import kinds
from terrarium.worlds.precision import Precision, training_precision
from terrarium.worlds.progress import Silent
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.prefetch import prefetch
from terrarium.worlds.training.task import Batch, Step, Task
from terrarium.worlds.training.trainer import Trainer
from terrarium.worlds.world_model.bench.eager import EagerDynamics, EagerLosses
from terrarium.worlds.world_model.data import ClipStore
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.kinds import TokenizerConfig, WorldModelConfig
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.tokenizer import Tokenizer, channels_last
from terrarium.worlds.world_model.train import load_clips, new_model

PARTS = {"data": "load", "forward": "forward", "backward": "backward", "optimizer": "update", "ema": "average"}


def bench_training(
    config: WorldModelConfig, *, steps: int, warm_up: int = 3, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """`steps` steps of each, spread over the horizon curriculum; `config.data` "-": recorded for the while.

    -> steps, parameters, whether compiled programs were used, and rows: `eager fp32`, `fp32`, and `bf16` where training
    takes it here. Of each: steps_per_s (of the median step), its speedup, shares of the time, the losses of all steps,
    and how far they are from the eager ones at most, as a share of them.
    """
    if steps < 1 or warm_up < 1:
        raise ValueError(f"steps {steps}, warm-up {warm_up}: expected at least 1 of both")
    config = replace(config, steps=steps + warm_up, accumulate=1)
    with tempfile.TemporaryDirectory() as folder:
        model, clips = _prepare(config, Path(folder))
        programs = None if config.compile or model.device.type != "cpu" else compiled()
        twin = eager_twin(model)
        timed = {"eager fp32": Timed(twin, EagerLosses(twin, config), clips, config, clock, "fp32", fused=False)}
        for precision in dict.fromkeys(("fp32", training_precision(model.device))):
            own = deepcopy(model)
            timed[precision] = Timed(own, Losses(own, config, programs=programs), clips, config, clock, precision)
        with ExitStack() as stack:
            batches = {
                name: stack.enter_context(prefetch(each.sample, each.trainer.parts())) for name, each in timed.items()
            }
            for _ in range(config.steps):
                for name, each in timed.items():
                    each.step(batches[name])
    eager = timed["eager fp32"]
    return {
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "programs": programs is not None,
        "rows": {name: each.row(eager, warm_up) for name, each in timed.items()},
    }


def _prepare(config: WorldModelConfig, folder: Path) -> tuple[Dynamics, ClipStore]:
    if config.data == "-":
        record = kinds()["dataset.record"]
        record.run(record.read({"episodes": 6, "steps": 64, "val_fraction": 0.34}), folder, Silent())
    dataset = open_dataset(folder / "output" if config.data == "-" else config.data)
    torch.manual_seed(config.seed)
    tokenizer = channels_last(Tokenizer(TokenizerConfig(data="-"))).eval()
    clips = load_clips(dataset, "train", tokenizer, config, folder)
    return new_model(config, dataset, tokenizer), clips


def eager_twin(model: Dynamics) -> EagerDynamics:
    """The eager dynamics with the same weights, in PyTorch's default memory order."""
    twin = EagerDynamics(model.config, Tokenizer(model.tokenizer.config), model.grid, model.actions)
    twin.load_state_dict(model.state_dict())
    return twin


class Timed:
    """A trainer, the seconds of its steps, and of each of their parts."""

    def __init__(
        self,
        model: Dynamics,
        losses: Losses,
        clips: ClipStore,
        config: WorldModelConfig,
        clock: Callable[[], float],
        precision: Precision,
        *,
        fused: bool = True,
    ) -> None:
        task = Task(
            model=model,
            learners=[adamw(model, losses, lr=config.lr, steps=config.steps, fused=fused)],
            sample=lambda step: clips.sample(step.rng, config.batch, step.part),
            ema=config.ema,
        )
        self.trainer = Trainer(task, range(config.steps), config.steps, config.seed)
        self.trainer.precision = precision
        self.clock, self.seconds = clock, list[float]()
        self.parts: dict[str, list[float]] = {name: [] for name in PARTS}
        self.losses: list[float] = []
        for name, method in PARTS.items():
            setattr(self.trainer, method, self._timed(getattr(self.trainer, method), self.parts[name]))

    def _timed(self, method: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            result, elapsed = self._measure(method, *args)
            seconds.append(elapsed)
            return result

        return call

    def _measure(self, work: Callable[..., Any], *args: Any) -> tuple[Any, float]:
        start = self.clock()
        result = work(*args)
        synchronize()
        return result, self.clock() - start

    def sample(self, step: Step) -> tuple[Step, Batch]:
        return step, self.trainer.task.sample(step)

    def step(self, batches: Iterator[tuple[Step, Batch]]) -> None:
        metrics, elapsed = self._measure(self.trainer.step, batches)
        self.losses.append(metrics["loss"].item())
        self.seconds.append(elapsed)

    def row(self, eager: Timed, warm_up: int) -> dict[str, Any]:
        """See `bench_training`."""
        pairs = zip(self.seconds[warm_up:], eager.seconds[warm_up:], strict=True)
        return {
            "steps_per_s": 1 / statistics.median(self.seconds[warm_up:]),
            "speedup": statistics.median(theirs / own for own, theirs in pairs),
            "shares": self.shares(warm_up),
            "losses": [round(loss, 4) for loss in self.losses],
            "losses_apart": max(abs(a - b) / abs(b) for a, b in zip(self.losses, eager.losses, strict=True)),
        }

    def shares(self, warm_up: int) -> dict[str, float]:
        """Of the time after the warm-up; `rest` is what none of the parts took."""
        whole = sum(self.seconds[warm_up:])
        shares = {name: sum(parts[warm_up:]) / whole for name, parts in self.parts.items()}
        return shares | {"rest": 1 - sum(shares.values())}
