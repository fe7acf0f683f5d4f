"""Weights and training states on disk: safetensors plus a JSON manifest, written atomically.

A folder that has its name is complete (worlds/durable.py), and the manifest holds the weights' hash. Nothing is ever
unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from terrarium.worlds.durable import new_folder
from terrarium.worlds.json_file import read_object

FORMAT_VERSION = 1
M = TypeVar("M", bound=torch.nn.Module)


def save_checkpoint(folder: Path, kind: str, tensors: dict[str, torch.Tensor], manifest: dict[str, Any]) -> None:
    """Replaces `folder` by {model.safetensors, manifest.json}. `kind`: tokenizer, world-model or training-state."""
    with new_folder(folder) as draft:
        weights = draft / "model.safetensors"
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, weights)
        sha = hashlib.sha256(weights.read_bytes()).hexdigest()
        head = {"format_version": FORMAT_VERSION, "kind": kind, "sha256": sha}
        (draft / "manifest.json").write_text(json.dumps(head | manifest, indent=1))


def tensors_sha256(tensors: dict[str, torch.Tensor]) -> str:
    """Of names and bytes: the same for the same weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_manifest(folder: Path, *kinds: str) -> dict[str, Any]:
    """The manifest of a checkpoint folder of one of the kinds; ValueError says what else was found."""
    file = folder / "manifest.json"
    if not folder.is_dir():
        what = "a file" if folder.exists() else "not there"
        raise ValueError(f"{folder} is {what}: expected a checkpoint folder with manifest.json and model.safetensors")
    if not file.is_file():
        raise ValueError(f"{folder} is no checkpoint: manifest.json is missing")
    manifest = read_object(file)
    if manifest.get("format_version") != FORMAT_VERSION or manifest.get("kind") not in kinds:
        found = f"{manifest.get('kind')!r} of format {manifest.get('format_version')!r}"
        expected = " or ".join(repr(kind) for kind in kinds)
        raise ValueError(f"{folder} holds {found}, expected {expected} of format {FORMAT_VERSION}")
    return manifest


def load_checkpoint(folder: Path, *kinds: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """-> tensors, manifest. ValueError for a missing, foreign, changed or non-safetensors file."""
    manifest = read_manifest(folder, *kinds)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ValueError(f"{folder}: model.safetensors is missing")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != manifest.get("sha256"):
        _probe_safetensors(weights)
        raise ValueError(f"{weights} differs from the sha256 in its manifest: the file was changed or cut short")
    return _probe_safetensors(weights), manifest


def _probe_safetensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as e:
        raise ValueError(f"{file} is not a safetensors file ({e}): other weight formats are refused") from None


def build(make: Callable[[], M], tensors: dict[str, torch.Tensor], source: Path) -> M:
    """The module that `make` makes, with these weights. ValueError: see `load_into`.

    It is first made without memory: the manifest that describes it may claim terabytes.
    """
    with torch.device("meta"):
        _check_fit(make(), tensors, source)
    module = make()
    load_into(module, tensors, source)
    return module


def load_into(module: torch.nn.Module, tensors: dict[str, torch.Tensor], source: Path) -> None:
    """Strict load; ValueError names the first tensor that is not finite, or does not fit, with what was expected."""
    _check_fit(module, tensors, source)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{source}: tensor {name} holds NaN or infinity: the weights are of no use")
    module.load_state_dict(tensors)


def _check_fit(module: torch.nn.Module, tensors: dict[str, torch.Tensor], source: Path) -> None:
    want = module.state_dict()
    for name in sorted(want.keys() | tensors.keys()):
        have = _outline(tensors[name]) if name in tensors else "missing"
        need = _outline(want[name]) if name in want else "not expected"
        if have != need:
            raise ValueError(f"{source}: tensor {name} is {have}, this model wants {need}")


def _outline(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
