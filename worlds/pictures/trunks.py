"""The convolutional trunks that LPIPS compares pictures with; their weights are named as in torchvision's files.

vgg      VGG16, Simonyan and Zisserman 2015, arXiv:1409.1556 (configuration D)
alex     AlexNet, Krizhevsky 2014, arXiv:1404.5997 (one tower)
squeeze  SqueezeNet 1.1, Iandola et al. 2016, arXiv:1602.07360
random   three small convolutions with random weights, always the same: for tests and for work without any file. Random
         features tell edges and textures apart (Jarrett et al. 2009, doi:10.1109/ICCV.2009.5459469), but no one has
         fitted them to what people see
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Trunk:
    layers: Callable[[], list[nn.Module]]
    ends: tuple[int, ...]  # features are taken before these layers
    channels: tuple[int, ...]  # of those features
    smallest: int  # side of a picture, pixels
    file: str | None = None  # as published; the digits in its name are the start of its SHA-256


def load_trunk(name: str, weights: Path | None) -> tuple[nn.Sequential, str | None]:
    """-> the layers up to the last features, frozen; the SHA-256 of the file, None for `random`, which takes none.

    Raises ValueError where the file is not there, is another one than its name says, or does not fit.
    """
    if name not in TRUNKS:
        raise ValueError(f"unknown trunk {name!r}: expected one of {', '.join(TRUNKS)}")
    if (name == "random") != (weights is None):
        raise ValueError(f"trunk {name!r} with weights {weights}: expected a file, or 'random' and none")
    with torch.device("meta"):  # no weights yet, so none are drawn
        features = nn.Sequential(*TRUNKS[name].layers())
    features.to_empty(device="cpu")
    sha256 = None
    if weights is None:
        _randomise(features)
    else:
        state, sha256 = read_weights(weights)
        prefix = "features."
        fit(features, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, weights, prefix)
    return features.requires_grad_(False).eval(), sha256


def read_weights(path: Path) -> tuple[dict[str, Any], str]:
    """-> the state dict of a file, and its SHA-256. Nothing in the file is executed (`weights_only`)."""
    if not path.is_file():
        raise ValueError(f"{path} is not there: expected a file of weights, as torch.save writes it")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    named = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
    if named and not sha256.startswith(named[1]):
        raise ValueError(f"{path} has the SHA-256 {sha256}: expected one that starts with {named[1]}, as its name says")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise a dozen kinds
        raise ValueError(f"{path} cannot be read as weights: {error}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}: expected a state dict")
    return state, sha256


def fit(module: nn.Module, state: dict[str, Any], path: Path, prefix: str = "") -> None:
    """Loads `state`, all and nothing else; ValueError names the first weight that does not fit."""
    expected = {k: list(v.shape) for k, v in module.state_dict().items()}
    for key in sorted(expected.keys() | state.keys()):
        found = list(state[key].shape) if isinstance(state.get(key), torch.Tensor) else None
        if found != expected.get(key):
            raise ValueError(f"{path}: {prefix}{key} has shape {found}, expected {expected.get(key)}")
    module.load_state_dict(state)


def _randomise(features: nn.Sequential) -> None:
    """He's initialisation (He et al. 2015, arXiv:1502.01852), from a generator of its own: always the same."""
    generator = torch.Generator().manual_seed(0)
    for parameter in features.parameters():
        fan_in = parameter[0].numel()
        scale = math.sqrt(2 / fan_in) if parameter.ndim == 4 else 0.0
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale


def _convolutions(sizes: list[int], pooled: set[int]) -> list[nn.Module]:
    """3x3 convolutions with ReLU from size to size; those of `pooled` come after a 2x2 max-pool."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        layers += [nn.MaxPool2d(2)] if i in pooled else []
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
    return layers


def _vgg() -> list[nn.Module]:
    return _convolutions([3] + [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, pooled={2, 4, 7, 10})


def _random() -> list[nn.Module]:
    return _convolutions([3, 32, 64, 128], pooled={1, 2})


def _alex() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    ]  # fmt: skip


class Fire(nn.Module):
    """SqueezeNet's module: few channels, then 1x1 and 3x3 convolutions of them side by side."""

    def __init__(self, n_in: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(n_in, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


def _squeeze() -> list[nn.Module]:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return [
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool(),
        Fire(64, 16, 64), Fire(128, 16, 64), pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), pool(),
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
    ]  # fmt: skip


TRUNKS = {
    "vgg": Trunk(_vgg, (4, 9, 16, 23, 30), (64, 128, 256, 512, 512), 16, "vgg16-397923af.pth"),
    "alex": Trunk(_alex, (2, 5, 8, 10, 12), (64, 192, 384, 256, 256), 31, "alexnet-owt-7be5be79.pth"),
    "squeeze": Trunk(
        _squeeze, (2, 5, 8, 10, 11, 12, 13), (64, 128, 256, 384, 384, 512, 512), 17, "squeezenet1_1-b8a52dc0.pth"
    ),
    "random": Trunk(_random, (2, 5, 8), (32, 64, 128), 4),
}
