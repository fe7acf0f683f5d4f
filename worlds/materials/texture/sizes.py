"""How large the networks of the staged plan are, without a machine that could train them:

    python -m terrarium.worlds.materials.texture.sizes

builds each on the device `meta` and takes a step of one sample, at 1,024 pixels and, with one head to train, at 2,048.
"""

from __future__ import annotations

import torch
from torch import Tensor

from terrarium.worlds.materials.texture.model import SHAPES, TextureNet

CLASSES = 16
KEPT = 5 * 4  # bytes for each parameter in fp32: weight, gradient, two moments, the best so far


def activations(model: TextureNet, side: int, *, one_head: bool) -> int:
    """Bytes in fp32 that a forward pass of one sample leaves for the backward one; attention of the tagger and of the
    SegFormer is counted without its matrices, which fused kernels do not keep."""
    model.requires_grad_(not one_head)
    model.maps.heads["roughness"].requires_grad_(True)
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    saved: dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        if (key := x.untyped_storage()._cdata) not in own and not _is_attention(x):
            saved[key] = x  # held, so that no other storage takes its place
        return x

    picture = torch.rand(1, 3, side, side, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        found = model(picture, picture)
    sum(x.sum() for x in (found.albedo, found.classes, found.tags, *found.grey.values())).backward()
    return sum(x.untyped_storage().nbytes() for x in saved.values())


def _is_attention(x: Tensor) -> bool:
    """[B, heads, tokens, tokens seen], larger than any features."""
    return x.ndim == 4 and x.shape[-1] * x.shape[-2] > 2**22


if __name__ == "__main__":
    for name, shape in SHAPES.items():
        with torch.device("meta"):
            model = TextureNet(shape, CLASSES)
        parameters = sum(p.numel() for p in model.parameters())
        all_maps, head = (activations(model, side, one_head=one) / 2**30 for side, one in ((1024, False), (2048, True)))
        kept = KEPT * parameters / 2**30
        print(
            f"{name:>8} {parameters:>12,} parameters, {kept:.2f} GiB; a sample {all_maps:.2f} GiB, in D {head:.2f} GiB"
        )
