"""What a dataset's manifest must say, and whether its files are what it says. Without NumPy: the gateway checks too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from terrarium.worlds.blocks.actions import layout_of
from terrarium.worlds.headers import check_npy
from terrarium.worlds.json_file import checked, read_object

FORMAT_VERSION = 1
MAX_SIDE = 4096  # pixels


class _Entry(TypedDict):
    id: Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$")]  # the name of a folder, never a path
    length: Annotated[int, Ge(2)]
    seed: int
    split: Literal["train", "val"]
    sha256: dict[Literal["frames.npy", "actions.npy", "pose.npy"], str]


class _Source(TypedDict):
    kind: str


class _Claims(TypedDict):
    """What a manifest must say."""

    fps: Annotated[float, Gt(0), Le(1000)]
    frame_size: Annotated[list[Annotated[int, Ge(1), Le(MAX_SIDE)]], MinLen(2), MaxLen(2)]
    source: _Source
    episodes: list[_Entry]


CLAIMS = TypeAdapter(_Claims)


def read_dataset_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a dataset's folder. ValueError names what is missing or wrong."""
    file = path / "manifest.json"
    if not file.is_file():
        raise ValueError(f"{path} is no dataset: expected a manifest.json in it")
    manifest = read_object(file)
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"{file}: format_version {version!r}, expected {FORMAT_VERSION}")
    try:
        layout_of(manifest)
    except ValueError as e:
        raise ValueError(f"{file}: {e}") from None
    checked(manifest, CLAIMS, file, strict=True)
    return manifest


def check_dataset(path: Path) -> None:
    """Reads every file. ValueError names the first that is missing, has another shape or dtype than the manifest says,
    or another sha256."""
    manifest = read_dataset_manifest(path)
    if not manifest["episodes"]:
        raise ValueError("the dataset holds no episodes")
    if "data" in manifest:
        raise ValueError("manifest.json: data: a dataset has no such field, only what was trained on one")
    for entry in manifest["episodes"]:
        for name, (shape, dtype) in _arrays(manifest, entry).items():
            _check_file(path / "episodes" / entry["id"] / name, entry, shape, dtype)


def _arrays(manifest: dict[str, Any], entry: dict[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """{file: shape and dtype} of an episode."""
    n, columns = entry["length"], len(manifest["action_names"])
    arrays = {"frames.npy": ((n, *manifest["frame_size"], 3), "|u1"), "actions.npy": ((n - 1, columns), "<f4")}
    return arrays | ({"pose.npy": ((n, 5), "<f4")} if "pose.npy" in entry["sha256"] else {})


def _check_file(file: Path, entry: dict[str, Any], shape: tuple[int, ...], dtype: str) -> None:
    where = f"episode {entry['id']}: {file.name}"
    if not file.is_file():
        raise ValueError(f"{where} is missing")
    with file.open("rb") as stream:
        check_npy(stream, shape, dtype, file.stat().st_size, where)
        stream.seek(0)
        sha = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha != entry["sha256"].get(file.name):
        raise ValueError(f"{where} differs from its recorded sha256: the file was changed")
