"""What an aligned generator is to make more of: functions of half-transparent worlds, in [0, 1], differentiable.

A reward is a class with `__call__(scene) -> [B]`, made from a `Wish`. Whatever it looks at is a mixture of worlds
(codes.mixture), of which a picture is the mean. What it finds in pictures it averages over them, so that views may be
shown a few at a time. `REWARDS` names those that need nothing else; learned_rewards.py has networks', weighted.py adds
several up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.worlds.blocks.palette import ID, sun_lut
from terrarium.worlds.voxels.camera import Camera, orbit
from terrarium.worlds.voxels.grid import MATERIALS
from terrarium.worlds.voxels.render import Picture, of_blocks, render

SIDE = 48  # pixels of a picture
LEAST = 1e-6
GRAZING_DEG = 75.0  # between a ray and a surface's normal: from there on it is seen too flat to be judged


@dataclass(eq=False)
class Scene:
    """Worlds as rewards see them: `occupancy` [B, X, Y, Z] and `materials` [B, X, Y, Z, 7], their captions, and cameras
    around each."""

    occupancy: Tensor
    materials: Tensor
    cameras: Sequence[Camera]
    captions: Sequence[str] = ()

    @cached_property
    def pictures(self) -> list[list[Picture]]:
        """[B][V], drawn once for all rewards."""
        lut = torch.from_numpy(sun_lut()[[ID[name] for name in MATERIALS]]).to(self.occupancy)
        colour = torch.einsum("bxyzm,mfc->bxyzfc", self.materials, lut)
        return [
            [render(alpha, faces, camera) for camera in self.cameras]
            for alpha, faces in zip(self.occupancy, colour, strict=True)
        ]

    def above_ground(self) -> Tensor:
        return self.occupancy[:, :, 1:]


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """What rewards are made from: a material's name, a world [X, Y, Z] of palette ids whose outline is wanted, folders
    of weights by the name of the reward that needs them, and how normals are judged: without surfaces that rays graze
    (`angle_mask`), and with the gradient of a reward's own estimate (`context`)."""

    material: str = "Stone"
    target: np.ndarray | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    angle_mask: bool = False
    context: bool = True

    def folder(self, reward: str) -> str:
        if reward not in self.models:
            raise ValueError(f"reward {reward} has no weights: expected a folder of them as {reward}_model")
        return self.models[reward]


class Reward(Protocol):
    def __call__(self, scene: Scene) -> Tensor: ...


class Palette:
    """Share of what is above the ground that is of the material."""

    def __init__(self, wish: Wish) -> None:
        self.material = index_of(wish.material)

    def __call__(self, scene: Scene) -> Tensor:
        mass = scene.above_ground()
        return share(mass * scene.materials[:, :, 1:, :, self.material], mass)


class Colour:
    """How near the colours in pictures are to the material's lit ones, where there is anything."""

    width = 0.25  # of the bell over the distance, in RGB

    def __init__(self, wish: Wish) -> None:
        self.wanted = torch.from_numpy(sun_lut()[ID[MATERIALS[index_of(wish.material)]]].mean(0))

    def __call__(self, scene: Scene) -> Tensor:
        def one(picture: Picture) -> Tensor:
            distance = (picture.rgb - self.wanted.to(picture.rgb)).square().sum(-1)
            near = torch.exp(-distance / (2 * self.width**2))
            return (near * picture.opacity).sum() / picture.opacity.sum().clamp(min=LEAST)

        return over_views(scene, one)


class Silhouette:
    """IoU of the outlines with those of a target world, in the same pictures. ValueError without one."""

    def __init__(self, wish: Wish) -> None:
        if wish.target is None:
            raise ValueError("reward silhouette has no target: expected a block world")
        self.target = wish.target

    def __call__(self, scene: Scene) -> Tensor:
        alpha, colour = (part.to(scene.occupancy) for part in of_blocks(self.target))
        wanted = [render(alpha, colour, camera).opacity for camera in scene.cameras]
        found = [
            torch.stack([soft_iou(picture.opacity, w) for picture, w in zip(row, wanted, strict=True)]).mean()
            for row in scene.pictures
        ]
        return torch.stack(found)


class Symmetry:
    """Share of what is above the ground that its mirror image in x covers."""

    def __init__(self, wish: Wish) -> None:
        pass

    def __call__(self, scene: Scene) -> Tensor:
        mass = scene.above_ground()
        return share(torch.minimum(mass, mass.flip(1)), mass)


class Connectivity:
    """Share of what is there that has a neighbour."""

    def __init__(self, wish: Wish) -> None:
        pass

    def __call__(self, scene: Scene) -> Tensor:
        mass = scene.occupancy
        alone = torch.stack([1 - beside for beside in neighbours(mass)]).prod(0)
        return share(mass * (1 - alone), mass)


class Support:
    """Share of what is there that hangs together with the ground: nothing floats."""

    def __init__(self, wish: Wish) -> None:
        pass

    def __call__(self, scene: Scene) -> Tensor:
        mass = scene.occupancy
        ground = torch.zeros_like(mass)
        ground[:, :, 0] = 1
        held = mass * ground
        for _ in range(sum(mass.shape[1:]) // 2):  # far enough around any bend of a structure
            held = torch.maximum(held, mass * torch.stack(neighbours(held)).amax(0))
        return share(held, mass)


class DepthNormals:
    """How far normals agree with the slope of depth in pictures (DNC): (1 + cosine) / 2, where there is anything."""

    def __init__(self, wish: Wish) -> None:
        self.angle_mask = wish.angle_mask

    def __call__(self, scene: Scene) -> Tensor:
        def one(picture: Picture, camera: Camera) -> Tensor:
            rays = torch.from_numpy(camera.rays()).to(picture.depth)
            depth = picture.depth / picture.opacity.clamp(min=0.1)
            points = rays * depth.unsqueeze(-1)
            across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
            slope = F.normalize(torch.linalg.cross(down, across), dim=-1, eps=LEAST)
            weight = picture.opacity * facing(picture, camera) if self.angle_mask else picture.opacity
            weight = weight[1:-1, 1:-1]
            cosine = (slope * picture.normal[1:-1, 1:-1]).sum(-1).clamp(-1, 1)
            return ((1 + cosine) / 2 * weight).sum() / weight.sum().clamp(min=LEAST)

        found = [[one(*each) for each in zip(row, scene.cameras, strict=True)] for row in scene.pictures]
        return torch.stack([torch.stack(row).mean() for row in found])


REWARDS: dict[str, Callable[[Wish], Reward]] = {
    "palette": Palette,
    "colour": Colour,
    "silhouette": Silhouette,
    "symmetry": Symmetry,
    "connectivity": Connectivity,
    "support": Support,
    "depth_normals": DepthNormals,
}


def random_cameras(rng: np.random.Generator, size: int, count: int, spread_deg: float) -> list[Camera]:
    """Around a world of `size` blocks, evenly, each turned and raised by up to `spread_deg` at random."""
    first = rng.uniform(0, 360)
    turns = [first + 360 * i / count + rng.uniform(-spread_deg, spread_deg) for i in range(count)]
    rises = np.clip(25 + rng.uniform(-spread_deg, spread_deg, count), 5, 80)
    return [orbit((size,) * 3, turn, float(rise), SIDE, SIDE) for turn, rise in zip(turns, rises, strict=True)]


def index_of(material: str) -> int:
    if material not in MATERIALS:
        raise ValueError(f"unknown material {material!r}: expected one of {', '.join(MATERIALS)}")
    return MATERIALS.index(material)


def share(part: Tensor, whole: Tensor) -> Tensor:
    """Sums over all but the first axis, one by the other, [B]."""
    return part.flatten(1).sum(1) / whole.flatten(1).sum(1).clamp(min=LEAST)


def soft_iou(a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(a, b).sum() / torch.maximum(a, b).sum().clamp(min=LEAST)


def over_views(scene: Scene, one: Callable[[Picture], Tensor]) -> Tensor:
    """The mean over a world's pictures, [B]."""
    return torch.stack([torch.stack([one(picture) for picture in row]).mean() for row in scene.pictures])


def facing(picture: Picture, camera: Camera) -> Tensor:
    """1 where the surface is seen from less than GRAZING_DEG off its normal, else 0; [H, W], without a gradient."""
    normal = F.normalize(picture.normal.detach(), dim=-1, eps=LEAST)
    cosine = -(normal * torch.from_numpy(camera.rays()).to(normal)).sum(-1)
    return (cosine > math.cos(math.radians(GRAZING_DEG))).to(normal)


def neighbours(mass: Tensor) -> list[Tensor]:
    """[B, X, Y, Z] moved by one block along each axis both ways, nothing coming in."""
    padded = F.pad(mass, (1,) * 6)
    sides = mass.shape[1:]
    inner = [slice(1, 1 + side) for side in sides]
    found = []
    for axis, side in enumerate(sides):
        for start in (0, 2):
            at = [*inner]
            at[axis] = slice(start, start + side)
            found.append(padded[(slice(None), *at)])
    return found
