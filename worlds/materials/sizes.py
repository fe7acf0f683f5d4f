"""How large the presets of `material.train` are, without a machine that could train them:

    python -m terrarium.worlds.materials.sizes

builds each on the device `meta`, which knows shapes and holds no numbers, and takes a step of one material.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from terrarium.worlds.materials.adversary import PatchGAN
from terrarium.worlds.materials.checks import VIEWS
from terrarium.worlds.materials.kinds import KINDS, MaterialTrainConfig
from terrarium.worlds.materials.model import MaterialNet
from terrarium.worlds.materials.train import shape_of

KEPT = 5 * 4  # bytes for each parameter: weight, gradient, two moments, average


@dataclass(frozen=True)
class Size:
    """`parameters` of the generator and of its critic; bytes in fp32 of what is kept for all of them, and of what the
    generator's forward pass leaves for the backward one, for one material, with an attention that keeps no matrix of
    all tokens against all (on `meta` there is none, so that matrix is not counted)."""

    parameters: int
    critic: int
    kept: int
    activations: int


def size_of(config: MaterialTrainConfig) -> Size:
    with torch.device("meta"):
        model = MaterialNet(**shape_of(config))
        critic = PatchGAN(config.gan_layers, config.gan_width) if config.gan else None
        views, poses = torch.rand(1, VIEWS, 3, config.crop, config.crop), torch.rand(1, VIEWS, 3)
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    saved: dict[int, Tensor] = {}

    tokens = VIEWS * (config.crop // model.cell) ** 2

    def pack(x: Tensor) -> Tensor:
        if (key := x.untyped_storage()._cdata) not in own and x.shape[-2:] != (tokens, tokens):
            saved[key] = x  # held, so that no other storage takes its place
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        maps = model(views, poses)
    maps.sum().backward()
    parameters, critics = (sum(p.numel() for p in part.parameters()) if part else 0 for part in (model, critic))
    activations = sum(x.untyped_storage().nbytes() for x in saved.values())
    return Size(parameters, critics, KEPT * (parameters + critics), activations)


if __name__ == "__main__":
    for name, make in KINDS["material.train"].presets.items():
        config = make()
        size = size_of(config)
        kept, each = size.kept / 2**30, size.activations / 2**30
        whole = f"{kept:.2f} GiB + {config.batch} x {each:.2f} GiB for pictures of {config.crop} pixels"
        print(f"{name:>15}  {size.parameters:>12,} + {size.critic:>10,} parameters  {whole}")
