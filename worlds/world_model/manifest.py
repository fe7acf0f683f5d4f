"""What a checkpoint's manifest must say before anything is built by it: it may come from elsewhere. Without NumPy and
torch: the gateway checks too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen, MultipleOf
from pydantic import BaseModel, TypeAdapter

from terrarium.worlds.archive import open_archive
from terrarium.worlds.blocks.actions import layout_of
from terrarium.worlds.headers import check_safetensors
from terrarium.worlds.json_file import checked, read_object
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.kinds import TokenizerConfig, WorldModelConfig

Side = Annotated[int, Ge(2 * DOWN), Le(1024), MultipleOf(DOWN)]


class Source(BaseModel):
    kind: str
    env: str | None = None


class Data(BaseModel):
    frame_size: tuple[Side, Side]
    fps: Annotated[float, Gt(0), Le(1000)]
    action_names: list[str]
    source: Source
    seeds: Annotated[list[int], MinLen(1)] = [0]


class TokenizerManifest(BaseModel):
    format_version: Literal[1]
    sha256: str
    tokenizer: TokenizerConfig
    data: Data


class WorldModelManifest(TokenizerManifest):
    dynamics: WorldModelConfig
    grid: tuple[int, int]
    painter: bool = False  # whether there is one: checkpoints from before it have none


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


def check_tokenizer_folder(folder: Path) -> None:
    """ValueError names what is missing or wrong in a tokenizer's folder, as far as that shows without torch."""
    check_tokenizer(read_object(folder / "manifest.json"), folder)
    _check_weights(folder)


def check_world_model_folder(folder: Path) -> None:
    """The same for a world model's."""
    manifest = check_world_model(read_object(folder / "manifest.json"), folder)
    _check_weights(folder)
    if (folder / "evaluation.json").exists():
        read_object(folder / "evaluation.json")
    if manifest.data.source.kind != "blocks":
        _check_starts(folder / "starts.npz")


def _check_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ValueError("model.safetensors is missing")
    check_safetensors(weights)
    with weights.open("rb") as stream:
        sha = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha != read_object(folder / "manifest.json").get("sha256"):
        raise ValueError(f"{weights} differs from the sha256 in its manifest: the file was changed or cut short")


def _check_starts(file: Path) -> None:
    """Where play starts if there is no simulator (starts.py)."""
    if not file.is_file():
        raise ValueError("starts.npz is missing: without a simulator, play starts from it")
    with open_archive(file) as arrays:
        if missing := {"frames.npy", "actions.npy"} - arrays.keys():
            raise ValueError(f"starts.npz lacks {' and '.join(sorted(missing))}")
