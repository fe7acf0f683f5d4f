"""The one training loop: stages, progress, previews, atomic states, exact resume, stop.

A run is a function of its config. Everything random in step s is drawn from generators seeded by (seed, s), so a
state needs no random state and no data position: a run killed at any point, between two stages too, and resumed from
its newest state repeats the same steps. They are the same bit for bit on one kind of processor with as many threads,
the same precision and torch; on CUDA up to rounding, since some kernels add in any order
(torch.use_deterministic_algorithms forbids it).

A step's batch is computed in equal parts: `accumulate` parts in each process, one after the other, and as many
processes as torchrun starts (parallel.py). A part is a function of (seed, s, part), whoever computes it, so two
processes repeat the run of one that accumulates two parts, up to rounding. Batches are loaded in a thread, ahead.

What is trained and how stands in task.py, optimisers.py and schedules.py, a step in trainer.py, states in states.py.
Networks compute in the precision that worlds/precision.py chooses. On CUDA: pinned memory, copies beside the
computation. Written, not measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from terrarium.worlds.progress import Progress, Silent, Stopped
from terrarium.worlds.training import parallel
from terrarium.worlds.training.prefetch import prefetch
from terrarium.worlds.training.states import Identity, State, States
from terrarium.worlds.training.task import Stage
from terrarium.worlds.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Loop:
    seed: int
    accumulate: int = 1  # parts of a batch that a process computes one after the other: less memory
    log_every: int = 10
    checkpoint_every_s: float = 60.0
    keep_states: int = 2
    identity: Identity = field(default_factory=Identity)  # a state of a run with another one is refused


def train(stages: Sequence[Stage], loop: Loop, out_dir: Path, progress: Progress) -> nn.Module:
    """Runs (or resumes) to the end and returns the last stage's model, averaged if it is, on the default device in
    eval mode.

    Raises Stopped (state saved), RecipeError(nan_loss), and ValueError where the saved state is of another run.
    """
    parallel.join()
    run = Run(loop, out_dir, progress)
    state = run.states.newest()
    _check_all_have(state)
    model, begins = None, 0
    for number, stage in enumerate(stages):
        task = stage.make(model)
        if state is not None and number < state.facts["stage"]:
            model = task.model  # this stage is over: what it trained is in the state's own
            continue
        if state is not None:
            begins = state.facts["begins"]
        ends = begins + stage.steps
        later = sum(following.steps for following in stages[number + 1 :])
        trainer = Trainer(task, range(begins, ends), ends + later, loop.seed, loop.accumulate)
        if state is not None:
            trainer.resume(state)
            run.reporter.resumed(trainer.done)
            state = None
        run.train(trainer, number, stage, last=number + 1 == len(stages))
        model, begins = trainer.result(), trainer.done
    assert model is not None and state is None, "no stage, or a state of one that is not there"
    return model


def _check_all_have(state: State | None) -> None:
    step = 0 if state is None else state.facts["step"]
    if parallel.any_of(parallel.mean(torch.tensor([float(step)])).item() != step):
        raise ValueError(f"found the state of step {step}, other processes another: expected a disk that all share")


class Run:
    """Trains a stage's steps, and between two of them reports, validates, saves and stops."""

    def __init__(self, loop: Loop, out_dir: Path, progress: Progress) -> None:
        self.loop, self.progress = loop, progress
        self.reporter = progress if parallel.rank() == 0 else Silent()
        self.states = States(out_dir / "state", loop.identity, loop.keep_states)
        self.saved_at = time.monotonic()

    def train(self, trainer: Trainer, number: int, stage: Stage, *, last: bool) -> None:
        sample = trainer.task.sample
        with prefetch(lambda step: (step, trainer.pinned(sample(step))), trainer.parts()) as batches:
            while not trainer.over:
                metrics = trainer.step(batches)
                values = trainer.validate()
                over = trainer.over
                total = trainer.done if over and last else trainer.total
                self.reporter.step(trainer.done, total, stage.name)
                if trainer.done % self.loop.log_every == 0 or over:
                    self.reporter.metrics(trainer.done, means(metrics))
                if values:
                    self.reporter.metrics(trainer.done, values)
                stop = parallel.any_of(self.progress.stop_requested())
                self.save(trainer, number, must=stop or over, preview=not stop)
                if stop and not (over and last):
                    raise Stopped

    def save(self, trainer: Trainer, stage: int, *, must: bool, preview: bool) -> None:
        """A state where one must be or is due, by the first process, and a preview beside it."""
        every = self.loop.checkpoint_every_s
        due = every > 0 and time.monotonic() - self.saved_at >= every
        if parallel.rank() > 0 or not (must or due):
            return
        tensors, facts = trainer.state()
        self.reporter.checkpoint(trainer.done, self.states.save(tensors, facts | {"stage": stage}))
        self.saved_at = time.monotonic()
        if preview and trainer.task.preview is not None:
            trainer.task.preview(trainer.result(), trainer.done)


def means(metrics: dict[str, torch.Tensor]) -> dict[str, float]:
    """Over the processes."""
    values = parallel.mean(torch.stack([v.float().cpu() for v in metrics.values()]))
    return dict(zip(metrics, values.tolist(), strict=True))
