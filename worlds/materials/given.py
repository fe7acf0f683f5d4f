"""What maps are found from. The number of pictures decides which recipe is asked for: three views of a surface
(worlds/materials/infer.py), or one diffuse texture of it (worlds/materials/texture/infer.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.checkpoint import read_manifest
from terrarium.worlds.materials import model as multi_view
from terrarium.worlds.materials.checks import VIEWS
from terrarium.worlds.materials.files import read_grey, read_normal, read_views
from terrarium.worlds.materials.infer import FromViews, read_poses
from terrarium.worlds.materials.kinds import TAKES, MaterialInferConfig
from terrarium.worlds.materials.manifest import (
    DIFFUSE_FILES,
    VIEW_FILES,
    check_diffuse,
    check_material,
    check_view_set,
)
from terrarium.worlds.materials.maps import ALBEDO, NORMAL
from terrarium.worlds.materials.matsynth import read_maps
from terrarium.worlds.materials.photograph import dirty, photograph
from terrarium.worlds.materials.texture import model as texture
from terrarium.worlds.materials.texture.dataset import even_diffuse, game_diffuse
from terrarium.worlds.materials.texture.infer import FromDiffuse

KIND_OF = {VIEWS: multi_view.KIND, 1: texture.KIND}  # number of pictures: type of the model that takes them


class Given(Protocol):
    """Pictures of a surface and the model that finds its maps; `truth` [8, S, S] where it is known."""

    @property
    def truth(self) -> Tensor | None: ...

    def find(self) -> tuple[Tensor, dict[str, Tensor]]:
        """-> maps [8, S, S], others [S, S] by name."""

    def agreement(self) -> Tensor:
        """Confidence [S, S] in [0, 1]."""

    @property
    def pictures(self) -> dict[str, Tensor]:
        """What is kept beside the maps, [3, S, S]."""

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest says of them."""


def given_files(
    images: Sequence[Path], model: Path | None, poses: Path | None, normal: Path | None, *, directx: bool = False
) -> Given:
    """Of pictures that somebody names; `model` none: the one that comes with the project. ValueError, before anything
    is computed, for pictures that the model does not take, or that are not as they should be."""
    kind, folder = model_for(images, model)
    if kind == texture.KIND:
        if poses is not None:
            raise ValueError(f"poses {poses} with one picture: expected them with {VIEWS} views alone")
        return _diffuse(folder, images[0], normal, directx=directx)
    if normal is not None:
        raise ValueError(f"normals {normal} with {VIEWS} views: expected them with one diffuse texture alone")
    return _views(folder, images, poses)


def model_for(images: Sequence[Path], asked: Path | None) -> tuple[str, Path]:
    """Type and folder of the model that finds maps from these pictures. ValueError where it takes another number."""
    told = f"{len(images)} {'picture' if len(images) == 1 else 'pictures'} ({', '.join(map(str, images)) or 'none'})"
    if asked is None:
        if len(images) not in KIND_OF:
            raise ValueError(f"{told}: expected {' or '.join(TAKES.values())}")
        kind = KIND_OF[len(images)]
        return kind, shipped(kind)
    kind = str(read_manifest(asked, *TAKES)["kind"])
    if KIND_OF.get(len(images)) != kind:
        raise ValueError(f"{told}: the {kind} {asked} takes {TAKES[kind]}")
    return kind, asked


def shipped(kind: str) -> Path:
    """ValueError where none of this kind comes with the project."""
    folder = {multi_view.KIND: multi_view.shipped_model, texture.KIND: texture.shipped_model}[kind]()
    if not folder.is_dir():
        raise ValueError(
            "one picture, but the model that comes with the project takes three views: expected three, or a "
            "texture-model in `model`, which `terrarium texture` trains"
        )
    return folder


def given(config: MaterialInferConfig) -> Given:
    """Of a job's inputs. ValueError as of `given_files`."""
    folder, asked = Path(config.views), Path(config.model) if config.model else None
    if (folder / DIFFUSE_FILES[0]).is_file() and not (folder / "basecolor.png").is_file():
        check_diffuse(folder)
        normal = folder / DIFFUSE_FILES[1]
        return given_files([folder / DIFFUSE_FILES[0]], asked, None, normal if normal.is_file() else None)
    if (folder / VIEW_FILES[0]).is_file():
        check_view_set(folder)
        poses = folder / "poses.json"
        return given_files([folder / name for name in VIEW_FILES], asked, poses if poses.is_file() else None, None)
    check_material(folder)
    if asked is not None and read_manifest(asked, *TAKES)["kind"] == texture.KIND:
        return _diffuse_of(folder, asked, config)
    return _views_of(folder, asked or shipped(multi_view.KIND), config)


def _views(model: Path, images: Sequence[Path], poses: Path | None) -> FromViews:
    views = torch.from_numpy(read_views(images))
    told = None if poses is None else torch.from_numpy(read_poses(poses))
    return FromViews(multi_view.load_model(model)[0], views, told)


def _diffuse(model: Path, image: Path, normal: Path | None, *, directx: bool) -> FromDiffuse:
    diffuse = torch.from_numpy(read_views([image])[0])
    size = (diffuse.shape[-1], diffuse.shape[-2])
    normals = None if normal is None else torch.from_numpy(read_normal(normal, size, directx=directx))
    return FromDiffuse(*texture.for_inference(model), diffuse, normals)


def _views_of(material: Path, model: Path, config: MaterialInferConfig) -> FromViews:
    """Three views of a material, in 8 bits as a camera's."""
    maps = torch.from_numpy(read_maps(material))
    generator = torch.Generator().manual_seed(config.seed)
    views, poses = photograph(maps[None], generator)
    if config.dirty:
        views = dirty(views, generator)
    return FromViews(multi_view.load_model(model)[0], _in_8_bits(views[0]), poses[0], maps)


def _diffuse_of(material: Path, model: Path, config: MaterialInferConfig) -> FromDiffuse:
    """A diffuse texture of a material, in even light, or with the light of a game baked into it."""
    maps = torch.from_numpy(read_maps(material))
    known = {name: material / f"{name}.png" for name in ("ao", "height")}
    ao, height = (
        torch.from_numpy(read_grey(file)) if file.is_file() else torch.ones_like(maps[0]) for file in known.values()
    )
    if config.dirty:
        diffuse = game_diffuse(maps, ao, height, np.random.default_rng(config.seed))
    else:
        diffuse = even_diffuse(maps[ALBEDO], ao)
    return FromDiffuse(*texture.for_inference(model), _in_8_bits(diffuse), maps[NORMAL], maps)


def _in_8_bits(picture: Tensor) -> Tensor:
    return (255 * picture).round() / 255
