"""What a checkpoint's manifest must say before anything is built by it: it may come from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, MultipleOf
from pydantic import BaseModel, TypeAdapter

from worlds.blocks.actions import layout_of
from worlds.json_file import checked
from worlds.world_model.fits import DOWN
from worlds.world_model.kinds import TokenizerConfig, WorldModelConfig

Side = Annotated[int, Ge(2 * DOWN), Le(1024), MultipleOf(DOWN)]


class Source(BaseModel):
    kind: str


class Data(BaseModel):
    frame_size: tuple[Side, Side]
    fps: Annotated[float, Gt(0), Le(1000)]
    action_names: list[str]
    source: Source


class TokenizerManifest(BaseModel):
    tokenizer: TokenizerConfig
    data: Data


class WorldModelManifest(TokenizerManifest):
    dynamics: WorldModelConfig
    grid: tuple[int, int]


TOKENIZER, WORLD_MODEL = TypeAdapter(TokenizerManifest), TypeAdapter(WorldModelManifest)


def check_tokenizer(manifest: dict[str, Any], folder: Path) -> TokenizerManifest:
    """ValueError names the field of `folder`'s manifest that is missing or wrong."""
    read = checked(manifest, TOKENIZER, folder / "manifest.json")
    layout_of(manifest["data"])
    return read


def check_world_model(manifest: dict[str, Any], folder: Path) -> WorldModelManifest:
    """ValueError as of `check_tokenizer`, also where the grid is not that of the frames."""
    check_tokenizer(manifest, folder)
    read = checked(manifest, WORLD_MODEL, folder / "manifest.json")
    height, width = read.data.frame_size
    if read.grid != (height // DOWN, width // DOWN):
        raise ValueError(f"{folder / 'manifest.json'}: grid {read.grid} of frames {height}x{width}")
    return read
