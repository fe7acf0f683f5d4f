"""LPIPS, a learned perceptual distance of pictures (Zhang et al. 2018, arXiv:1801.03924), without torchvision.

The trunk's weights come from a file of torchvision's that the user has, the linear heads from the data files of an
installed `lpips` package, which is read and never imported. Trunk `random` needs neither, and its results say so.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch

from terrarium.kernels import lpips_head
from terrarium.worlds.pictures.trunks import TRUNKS, load_trunk, read_weights
from terrarium.worlds.precision import FullWeights, in_full

# Of the pictures that the trunks were trained on, moved to [-1, 1], as the heads were fitted.
MEAN = (-0.030, -0.088, -0.188)
STD = (0.458, 0.448, 0.450)


class LPIPS(FullWeights):
    """Frozen. `facts` says in JSON what it was made of.

    trunk: vgg, alex, squeeze or random. weights: the trunk's file; none: the published one where torchvision keeps it,
    in torch.hub's folder. heads: a file as `lpips` has them; none: that of an installed `lpips`.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: str, weights: Path | None = None, heads: Path | None = None) -> None:
        super().__init__()
        if trunk != "random" and trunk in TRUNKS:
            weights, heads = weights or _published(trunk), heads or installed_heads(trunk)
        self.features, sha256 = load_trunk(trunk, weights)
        self.ends, self.smallest = TRUNKS[trunk].ends, TRUNKS[trunk].smallest
        self.facts: dict[str, Any] = {"trunk": trunk}
        if weights is None:
            self.facts["note"] = "random weights, not fitted to what people see; comparable with this trunk alone"
        else:
            self.facts |= {"weights": weights.name, "sha256": sha256}
        for i, head in enumerate(_load_heads(trunk, heads)):
            self.register_buffer(f"head{i}", head)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """x, y: [B, 3, H, W] in [-1, 1] -> distance [B]. With gradients for whichever of them asks."""
        if x.shape != y.shape or x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < self.smallest:
            sides = f"with H and W at least {self.smallest}"
            raise ValueError(f"pictures of shape {list(x.shape)} and {list(y.shape)}: expected [B, 3, H, W] {sides}")
        if (x.requires_grad or y.requires_grad) and not torch.is_grad_enabled():
            raise ValueError("a picture requires a gradient but gradients are off here: detach it to measure only")
        distance = x.new_zeros(len(x), dtype=torch.float32)
        first = 0
        with in_full(x):  # pictures nearly alike differ by less than bf16 features can hold
            x, y = ((picture - self.mean) / self.std for picture in (x, y))
            for i, end in enumerate(self.ends):
                x, y = self.features[first:end](x), self.features[first:end](y)
                distance = distance + lpips_head(x, y, self.get_buffer(f"head{i}"))
                first = end
        return distance


def hub_file(name: str) -> Path:
    """Where torch.hub and torchvision keep a file of weights; TORCH_HOME names another folder."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _published(trunk: str) -> Path:
    file = TRUNKS[trunk].file
    assert file is not None
    path = hub_file(file)
    if not path.is_file():
        raise ValueError(
            f"{path} is not there: download https://download.pytorch.org/models/{file} into that folder "
            "(TORCH_HOME names another), or use the trunk 'random'"
        )
    return path


def installed_heads(trunk: str) -> Path:
    """The heads' file of an installed `lpips` distribution."""
    try:
        files = distribution("lpips").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.as_posix() == f"lpips/weights/v0.1/{trunk}.pth":
            return Path(str(file.locate()))
    raise ValueError(
        f"no linear heads for the trunk {trunk!r}: `pip install --no-deps lpips` brings them (it is not imported), "
        "or use the trunk 'random'"
    )


def _load_heads(trunk: str, path: Path | None) -> list[torch.Tensor]:
    """One [C] for each of the trunk's features; without a file equal weights, for a distance between 0 and 2."""
    channels = TRUNKS[trunk].channels
    if path is None:
        return [torch.full((c,), 1 / len(channels)) for c in channels]
    state, _ = read_weights(path)
    heads = []
    for i, c in enumerate(channels):
        key = f"lin{i}.model.1.weight"
        found = list(state[key].shape) if isinstance(state.get(key), torch.Tensor) else None
        if found != [1, c, 1, 1]:
            raise ValueError(f"{path}: {key} has shape {found}, expected {[1, c, 1, 1]}")
        heads.append(state[key].float().view(c))
    return heads
