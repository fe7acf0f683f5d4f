"""Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): the sign of a momentum, so that every weight moves by the
learning rate; one moment to keep in place of AdamW's two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class Lion(torch.optim.Optimizer):
    """`betas`: what the step is interpolated by, and what the momentum keeps. The paper takes a learning rate 3 to 10
    times smaller than AdamW's and a weight decay as much larger."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            given = f"lr {lr}, betas {betas}, weight decay {weight_decay}"
            raise ValueError(f"{given}: expected none below 0, and betas below 1")
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """w <- w - lr (sign(b1 m + (1 - b1) g) + decay w), then m <- b2 m + (1 - b2) g."""
        assert closure is None, "steps from the gradients that are there"
        for group in self.param_groups:
            lr, (b1, b2) = group["lr"], group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"]
                towards = torch.lerp(p.grad, m, b1).sign_()
                p.mul_(1 - lr * group["weight_decay"]).sub_(towards, alpha=lr)
                m.lerp_(p.grad, 1 - b2)
        return None
