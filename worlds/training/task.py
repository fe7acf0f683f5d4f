"""What a recipe hands to the loop: stages, each with a task, taught by one or several learners.

One model under one optimiser is a stage with one learner (optimisers.py has the usual one). A generator and its
discriminator are two learners of one task. Phases that freeze other parts, or grids that grow, are stages: a stage has
its own model and optimisers, the step goes on counting through all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from terrarium.worlds.training.schedules import History, Schedule, constant

Batch = tuple[torch.Tensor, ...]


@dataclass
class Step:
    """What a recipe's functions get: its step, of how many, which part of the batch, its own source of randomness.

    All parts of a step draw from the same `rng`: first the sampling function, for the whole batch, then the losses, in
    the order of the learners.
    """

    index: int
    total: int
    part: tuple[int, int]  # which, of how many
    rng: np.random.Generator
    begins: int = 0  # the step with which its stage began

    @property
    def done(self) -> float:
        return self.index / self.total


SampleFn = Callable[[Step], Batch]  # called in a thread, ahead of time; gives the step's part of the batch
LossFn = Callable[..., tuple[torch.Tensor, dict[str, torch.Tensor]]]  # (step, *batch) -> loss, metrics


class Stateful(Protocol):
    """What lives from step to step beside the model, such as a pool of old pictures; any nn.Module fits."""

    def state_dict(self) -> Mapping[str, torch.Tensor]: ...
    def load_state_dict(self, state: dict[str, torch.Tensor], /) -> Any: ...


@dataclass(kw_only=True, eq=False)
class Learner:
    """An optimiser (any whose state is tensors), the loss that it lowers, and when it has its turn.

    In its turn only its optimiser's parameters get gradients. Each turn of a step begins from the same torch seed, so a
    generator that is run again for the discriminator draws the same pictures. Parameter groups may have a learning rate
    each, which the schedule scales, and a `clip` each; those without are clipped together.
    """

    loss: LossFn
    optimizer: torch.optim.Optimizer
    schedule: Schedule = constant
    clip: float = math.inf  # norm of the gradient
    name: str = "optimizer"
    start: int = 0  # its first step in the stage; its schedule counts from there
    every: int = 1  # its turn comes in each n-th step

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def has_turn(self, index: int) -> bool:
        return index >= self.start and (index - self.start) % self.every == 0

    def set_lr(self, index: int, history: History) -> float:
        """Scales every group's learning rate -> the first group's."""
        factor = self.schedule(index - self.start, history)
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        return self.optimizer.param_groups[0]["lr"]

    def clip_gradients(self) -> torch.Tensor:
        """-> their norm before."""
        groups = self.optimizer.param_groups
        together = [p for group in groups if "clip" not in group for p in group["params"]]
        norms = [nn.utils.clip_grad_norm_(group["params"], group["clip"]) for group in groups if "clip" in group]
        if together:
            norms.append(nn.utils.clip_grad_norm_(together, self.clip))
        return norms[0] if len(norms) == 1 else torch.stack(norms).norm()

    def tensors(self) -> dict[str, torch.Tensor]:
        """The optimiser's state, `<parameter's number>.<name>`."""
        state = self.optimizer.state_dict()["state"]
        return {f"{i}.{k}": v for i, values in state.items() for k, v in values.items() if v is not None}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        state: dict[int, dict[str, torch.Tensor]] = {}
        parameters = self.parameters
        for key, value in tensors.items():
            i, name = key.split(".", 1)
            p = parameters[int(i)]
            # A fused optimiser goes through memory, where what it keeps must lie as the parameter does.
            laid_out = torch.empty_like(p).copy_(value) if value.shape == p.shape else value
            state.setdefault(int(i), {})[name] = laid_out
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


@dataclass(kw_only=True, eq=False)
class Task:
    """What a stage trains. Parameters that no learner holds get no gradient.

    `validate` gets the result so far (as `preview`: the EMA's weights, in eval mode) every `validate_every` steps of
    the stage and at its end, from the same torch seed each time, in the first process. What it returns is reported and
    added to the history, from which schedules (`plateau`) and `stop` decide: states hold the history, so they decide
    the same after a resume.
    """

    model: nn.Module
    learners: Sequence[Learner]
    sample: SampleFn
    ema: float | None = 0.995  # none: no average is kept
    frozen: Collection[nn.Module] = ()  # kept in eval mode, such as norms whose statistics stay
    keep: Callable[[str], bool] | None = None  # the tensors that change, by name: states and the EMA hold these alone
    extra: Stateful | None = None  # saved with the model; the same in every process, and not touched by `sample`
    validate: Callable[[nn.Module, int], Mapping[str, float]] | None = None
    validate_every: int = 1000
    stop: Callable[[History], bool] | None = None  # ends the stage after a validation
    preview: Callable[[nn.Module, int], None] | None = None

    def __post_init__(self) -> None:
        mine, taught = set(self.model.parameters()), [p for each in self.learners for p in each.parameters]
        names = [each.name for each in self.learners]
        assert mine.issuperset(taught), "a learner holds parameters that are not the model's"
        assert len(set(taught)) == len(taught), "two learners hold the same parameter"
        assert len(set(names)) == len(names) and not {"model", "ema", "extra"} & set(names), names
        assert any(each.start == 0 and each.every == 1 for each in self.learners), "a step without a learner"
        assert self.stop is None or self.validate is not None, "a rule to stop without validations"


@dataclass(frozen=True)
class Stage:
    """A part of a run: at most `steps` steps on the task that `make` builds.

    `make` gets the result of the stage before (none for the first). On a resume the stages that are over are built, not
    trained: what `make` builds may depend on that model's weights, its shapes on the config alone.
    """

    name: str
    steps: int
    make: Callable[[nn.Module | None], Task]
