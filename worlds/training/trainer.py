"""What one step does: every learner's turn, then the EMA; and what a state holds of a stage."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from terrarium.worlds.device import default_device
from terrarium.worlds.precision import computing_in, training_precision
from terrarium.worlds.progress import RecipeError
from terrarium.worlds.training import parallel
from terrarium.worlds.training.states import State
from terrarium.worlds.training.task import Batch, Learner, LossFn, Step, Task

Loaded = Iterator[tuple[Step, Batch]]


class Trainer:
    """A stage under way: model, optimisers and EMA, and the step that it has reached.

    `steps` is its first step and the one after its last; `total` are the steps of the whole run.
    """

    def __init__(self, task: Task, steps: range, total: int, seed: int, accumulate: int = 1) -> None:
        self.task, self.steps, self.total, self.seed, self.accumulate = task, steps, total, seed, accumulate
        self.done, self.history = steps.start, list[dict[str, float]]()
        self.device = default_device()
        self.precision = training_precision(self.device)
        self.model = task.model.to(self.device)
        if isinstance(task.extra, nn.Module):
            task.extra.to(self.device)
        self.objectives = [self.objective(learner) for learner in task.learners]
        self.ema = {k: v.clone() for k, v in self.kept().items()} if task.ema is not None else None

    def objective(self, learner: Learner) -> nn.Module:
        objective = Objective(self.model, learner.loss)
        with self.turn(learner):
            return DistributedDataParallel(objective) if parallel.world_size() > 1 else objective

    @contextmanager
    def turn(self, learner: Learner) -> Iterator[None]:
        """Only the learner's parameters get gradients."""
        own = set(learner.parameters)
        before = [(p, p.requires_grad) for p in self.model.parameters()]
        for p, _ in before:
            p.requires_grad_(p in own)
        yield
        for p, required in before:
            p.requires_grad_(required)

    def kept(self) -> dict[str, torch.Tensor]:
        """The model's tensors that states hold."""
        keep = self.task.keep
        return {k: v.detach() for k, v in self.model.state_dict().items() if keep is None or keep(k)}

    def parts(self) -> Iterator[Step]:
        """This process's parts of all the steps that are left."""
        every = self.accumulate * parallel.world_size()
        for index in range(self.done, self.steps.stop):
            for i in range(self.accumulate):
                part = (parallel.rank() * self.accumulate + i, every)
                yield Step(index, self.total, part, np.random.default_rng([self.seed, index]), self.steps.start)

    def pinned(self, batch: Batch) -> Batch:
        """In memory from which CUDA copies beside the computation."""
        return tuple(x.pin_memory() for x in batch) if self.device.type == "cuda" else batch

    def step(self, batches: Loaded) -> dict[str, torch.Tensor]:
        """-> the means of the parts' metrics, and each learner's loss, gradient norm and learning rate."""
        self.model.train()
        for module in self.task.frozen:
            module.eval()
        loaded: list[tuple[Step, Batch]] = []
        metrics: dict[str, torch.Tensor] = {}
        for learner, objective in zip(self.task.learners, self.objectives, strict=True):
            if learner.has_turn(self.done - self.steps.start):
                found = self.teach(learner, objective, loaded, batches)
                prefix = f"{learner.name}_" if len(self.task.learners) > 1 else ""
                metrics |= {prefix + k: v for k, v in found.items()}
        self.average()
        self.done += 1
        return metrics

    def teach(
        self, learner: Learner, objective: nn.Module, loaded: list[tuple[Step, Batch]], batches: Loaded
    ) -> dict[str, torch.Tensor]:
        """A learner's turn; `loaded` are the step's parts, which the first turn loads one by one."""
        lr = learner.set_lr(self.done - self.steps.start, self.history)
        learner.optimizer.zero_grad(set_to_none=True)
        parts = []
        with self.turn(learner):
            for i in range(self.accumulate):
                if i == len(loaded):
                    loaded.append(self.load(batches))
                step, batch = loaded[i]
                with self.exchange(objective, i + 1 == self.accumulate):
                    loss, metrics = self.forward(objective, step, batch)
                    self.backward(loss / self.accumulate)
                parts.append(metrics | {"loss": loss.detach()})
        mean = {k: torch.stack([p[k].float() for p in parts]).mean() for k in parts[0]}
        norm = self.update(learner)
        if not torch.isfinite(norm):
            found = f"loss {mean['loss'].item()}, gradient norm {norm.item()}"
            raise RecipeError("nan_loss", f"step {self.done + 1}: {found}; lower lr")
        return mean | {"grad_norm": norm, "lr": torch.tensor(lr)}

    def load(self, batches: Loaded) -> tuple[Step, Batch]:
        step, batch = next(batches)
        return step, tuple(x.to(self.device, non_blocking=True) for x in batch)

    def forward(self, objective: nn.Module, step: Step, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed((step.part[0] << 40) + self.seed * 1_000_003 + step.index)
        with computing_in(self.precision, self.device):
            return objective(step, *batch)

    def exchange(self, objective: nn.Module, last: bool) -> AbstractContextManager[None]:
        """The processes exchange gradients once a turn, in the backward pass of its last part."""
        if isinstance(objective, DistributedDataParallel) and not last:
            return objective.no_sync()
        return nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def update(self, learner: Learner) -> torch.Tensor:
        """-> the gradient's norm before it was clipped."""
        norm = learner.clip_gradients()
        learner.optimizer.step()
        return norm

    @torch.no_grad()
    def average(self) -> None:
        """Moves the EMA towards the weights; what is no float, such as a counter, is copied."""
        if self.ema is None or self.task.ema is None:
            return
        index = self.done - self.steps.start
        decay = min(self.task.ema, (1 + index) / (10 + index))  # short memory at the start
        values = self.kept()
        moving = [name for name, value in values.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.ema[name] for name in moving], [values[name] for name in moving], 1 - decay)
        for name in values.keys() - moving:
            self.ema[name].copy_(values[name])

    def result(self) -> nn.Module:
        """A copy of the model, with the EMA weights where there are any, in eval mode."""
        clone = copy.deepcopy(self.model)
        if self.ema is not None:
            clone.load_state_dict(self.ema, strict=self.task.keep is None)
        return clone.eval()

    def validate(self) -> dict[str, float]:
        """-> what the first process measured; {} where no validation is due."""
        task, index = self.task, self.done - self.steps.start
        validate = task.validate
        if validate is None or (index % task.validate_every and self.done < self.steps.stop):
            return {}
        torch.manual_seed(self.seed)
        values = parallel.from_first(lambda: dict(validate(self.result(), self.done)))
        self.history.append({**values, "step": self.done})
        return values

    @property
    def over(self) -> bool:
        stopped = self.task.stop is not None and bool(self.history) and self.task.stop(self.history)
        return stopped or self.done >= self.steps.stop

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """-> tensors, facts."""
        extra = {} if self.task.extra is None else self.task.extra.state_dict()
        groups = {"model": self.kept(), "ema": self.ema or {}, "extra": extra}
        for learner in self.task.learners:
            groups[learner.name] = learner.tensors()
        tensors = {f"{name}.{k}": v for name, group in groups.items() for k, v in group.items()}
        return tensors, {"step": self.done, "begins": self.steps.start, "history": self.history}

    def resume(self, state: State) -> None:
        self.done, self.history = state.facts["step"], state.facts["history"]
        self.model.load_state_dict(state.part("model"), strict=self.task.keep is None)
        if self.ema is not None:
            self.ema = {k: v.to(self.device) for k, v in state.part("ema").items()}
        if self.task.extra is not None:
            self.task.extra.load_state_dict(state.part("extra"))
        for learner in self.task.learners:
            learner.load(state.part(learner.name))


class Objective(nn.Module):
    """The loss as a module around the model: what DistributedDataParallel wraps, called once a part."""

    def __init__(self, model: nn.Module, loss: LossFn) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, step: Step, *batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.loss(step, *batch)
