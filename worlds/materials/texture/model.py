"""What the staged plan trains: a diffuse texture and its normals -> albedo, roughness, metallic, occlusion, height.

Four networks. UNet-Albedo takes baked light out of the diffuse; a SegFormer says of albedo and normals what each pixel
is made of; UNet-Maps makes the other maps of them, told the classes and the albedo by FiLM; and a vision transformer
(Dosovitskiy et al. 2021, arXiv:2010.11929) tags the picture with all that occurs in it. Each sees what the one before
has predicted, in training as at inference.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.checkpoint import build, load_checkpoint, save_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.materials.model import Layer, places
from terrarium.worlds.materials.texture.segformer import CELL, SegFormer
from terrarium.worlds.materials.texture.unet import UNet
from terrarium.worlds.precision import wide
from terrarium.worlds.training import lora

KIND = "texture-model"
GREY = ("roughness", "metallic", "ao", "height", "metal")  # heads of UNet-Maps; metal is the mask
SIDE = 1024  # pixels of textures that the plan's own sizes learn from
DARKEST = 0.01  # of a diffuse, where its logit ends


@dataclass(frozen=True)
class Shape:
    """`width` of the UNets' first stage, a design of the SegFormer, and the tagger's patch, width and layers."""

    width: int
    segmentation: str
    patch: int
    dim: int
    heads: int
    depth: int


SHAPES = {
    "debug": Shape(8, "tiny", 8, 16, 2, 1),
    "cpu": Shape(16, "tiny", 16, 32, 2, 1),
    "small": Shape(16, "b0", 16, 128, 4, 4),
    "default": Shape(32, "b2", 16, 384, 6, 12),
}


@dataclass(eq=False)
class Found:
    """`albedo` [B, 3, H, W] in [0, 1]; `grey` {map: logits [B, 1, H, W]}; `classes` logits [B, K, H, W]; `tags` logits
    [B, K]."""

    albedo: Tensor
    grey: dict[str, Tensor]
    classes: Tensor
    tags: Tensor

    def map(self, name: str) -> Tensor:
        """[B, C, H, W] in [0, 1]."""
        return self.albedo if name == "albedo" else torch.sigmoid(self.grey[name])


class TextureNet(nn.Module):
    """Diffuse [B, 3, H, W] in sRGB and unit normals [B, 3, H, W] -> what is found. H and W are multiples of `cell`."""

    cell = CELL

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.shape, self.rank = shape, 0
        self.albedo = UNet(6, shape.width, {"albedo": 3})
        self.segmentation = SegFormer(shape.segmentation, 6, classes)
        self.maps = UNet(6, shape.width, dict.fromkeys(GREY, 1), told=classes + 3)
        self.tagger = Tagger(shape, classes)

    def forward(self, diffuse: Tensor, normal: Tensor, told: Tensor | None = None) -> Found:
        """`told` [B]: 1 where UNet-Maps is told classes and albedo by FiLM, 0 where it is not; none: always."""
        if diffuse.shape[-1] % self.cell or diffuse.shape[-2] % self.cell:
            raise ValueError(f"{list(diffuse.shape)}: expected sides that are multiples of {self.cell}")
        albedo = self.find_albedo(diffuse, normal)
        surface = torch.cat([albedo.detach(), normal], dim=1)
        classes = F.interpolate(self.segmentation(surface), scale_factor=4, mode="bilinear", align_corners=False)
        c = torch.cat([classes.detach().softmax(1), albedo.detach()], dim=1)
        if told is not None:
            c = c * told.view(-1, 1, 1, 1)
        grey = {name: wide(x) for name, x in self.maps(surface, c).items()}
        return Found(albedo, grey, wide(classes), wide(self.tagger(diffuse)))

    def find_albedo(self, diffuse: Tensor, normal: Tensor) -> Tensor:
        """What the head says is added to the diffuse's logit: it begins as the diffuse."""
        x = self.albedo(torch.cat([diffuse, normal], dim=1))["albedo"]
        return torch.sigmoid(wide(x) + torch.logit(diffuse.clamp(DARKEST, 1 - DARKEST)))

    def adapt(self, rank: int) -> None:
        """Adapters beside the linear layers of the SegFormer's stages and the convolutions of the UNets' encoders."""
        unets = [part for net in (self.albedo, self.maps) for part in net.encoder.modules()]
        convolutions = [part for part in unets if isinstance(part, nn.Conv2d)]
        lora.adapt(self, [*convolutions, *lora.linears(self.segmentation.stages)], rank)
        self.rank = rank


def flat_like(diffuse: Tensor) -> Tensor:
    """Normals straight out of the surface, for a diffuse [..., 3, H, W] whose own are not known."""
    out = torch.zeros_like(diffuse)
    out[..., 2, :, :] = 1
    return out


class Tagger(nn.Module):
    """Diffuse [B, 3, H, W] -> logits [B, tags]."""

    def __init__(self, shape: Shape, tags: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, shape.dim, shape.patch, shape.patch)
        self.layers = nn.ModuleList(Layer(shape.dim, shape.heads, 4.0) for _ in range(shape.depth))
        self.norm, self.out = nn.LayerNorm(shape.dim), nn.Linear(shape.dim, tags)

    def forward(self, diffuse: Tensor) -> Tensor:
        x = self.patches(diffuse - 0.5)
        x = x.flatten(2).mT + places(x.shape[-2], x.shape[-1], x.shape[1]).to(x)
        for layer in self.layers:
            x = layer(x)
        return self.out(self.norm(x).mean(1))


def save_model(folder: Path, model: TextureNet, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes a checkpoint; `facts` name the classes."""
    save_checkpoint(folder, KIND, tensors, {"model": asdict(model.shape), "rank": model.rank, **facts})


def load_model(folder: Path) -> tuple[TextureNet, dict[str, Any]]:
    """-> the model on the CPU, manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, KIND)

    def make() -> TextureNet:
        model = TextureNet(Shape(**manifest["model"]), len(manifest["classes"]))
        if manifest["rank"]:
            model.adapt(manifest["rank"])
        return model

    full = {name: tensor.float() for name, tensor in tensors.items()}  # exported ones are stored in bf16
    return build(make, full, folder), manifest


def for_inference(folder: Path) -> tuple[TextureNet, int]:
    """Likewise, its adapters merged, frozen, on the default device; and the side in pixels of what it learned from."""
    model, manifest = load_model(folder)
    lora.merge(model)
    side = int(manifest["config"]["side"] or SIDE)
    return model.to(default_device()).eval().requires_grad_(False), side


def shipped_model() -> Path:
    """The checkpoint that comes with the project."""
    return Path(str(files("terrarium.worlds.materials.texture") / "shipped"))
