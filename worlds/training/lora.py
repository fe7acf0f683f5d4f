"""Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) beside linear layers and convolutions."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

Layer = nn.Linear | nn.Conv2d


class Adapted(nn.Module):
    """A layer that stays as it is, and beside it an update of rank `rank` that begins as zero. Of a convolution, `down`
    is one of the same window to `rank` channels, and `up` one of a single pixel."""

    def __init__(self, base: Layer, rank: int) -> None:
        super().__init__()
        self.base, self.on = base, True
        self.down: Layer
        self.up: Layer
        if isinstance(base, nn.Linear):
            self.down = nn.Linear(base.in_features, rank, bias=False)
            self.up = nn.Linear(rank, base.out_features, bias=False)
        else:
            assert base.groups == 1 and base.padding_mode == "zeros" and not isinstance(base.padding, str)
            size = (base.kernel_size[0], base.kernel_size[1])
            stride, padding = (base.stride[0], base.stride[1]), (base.padding[0], base.padding[1])
            self.down = nn.Conv2d(base.in_channels, rank, size, stride, padding, bias=False)
            self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.normal_(self.down.weight, std=base.weight[0].numel() ** -0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        return y + self.up(self.down(x)) if self.on else y

    @torch.no_grad()
    def merged(self) -> Layer:
        """The base with the update added, up to rounding."""
        update = self.up.weight.flatten(1) @ self.down.weight.flatten(1)
        self.base.weight += update.view_as(self.base.weight)
        return self.base


def adapt(model: nn.Module, layers: Iterable[nn.Module], rank: int) -> None:
    """Freezes the model and puts an adapter beside each of its `layers`. ValueError for a rank below 1."""
    if rank < 1:
        raise ValueError(f"rank {rank}: expected at least 1")
    model.requires_grad_(False)
    chosen = set(layers)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in chosen:
                assert isinstance(child, Layer)
                setattr(parent, name, Adapted(child, rank))


def linears(modules: Iterable[nn.Module]) -> Collection[nn.Module]:
    """The linear layers within."""
    return [part for module in modules for part in module.modules() if isinstance(part, nn.Linear)]


def adapters(model: nn.Module) -> list[Adapted]:
    return [module for module in model.modules() if isinstance(module, Adapted)]


def weights(model: nn.Module) -> list[Tensor]:
    """Of the adapters: what is learned."""
    return [layer.weight for each in adapters(model) for layer in (each.down, each.up)]


def is_adapters(name: str) -> bool:
    """Whether a tensor of a model's state is an adapter's."""
    return name.endswith((".down.weight", ".up.weight"))


def merge(model: nn.Module) -> None:
    """Adds every adapter to its layer, which takes its place: a model like any other, up to rounding."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Adapted):
                setattr(module, name, child.merged())
