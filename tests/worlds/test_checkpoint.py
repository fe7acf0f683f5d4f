"""Weights and manifests from elsewhere: what does not fit is named before anything is built by it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.rollout import shipped_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(shipped_folder(), tmp_path / "model")


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def change_weights(folder: Path, name: str, tensor: Callable[[torch.Tensor], torch.Tensor]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name] = tensor(tensors[name]).contiguous()
    save_file(tensors, file)
    change_manifest(folder, lambda m: m.update(sha256=hashlib.sha256(file.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.pop("grid"), "grid: Field required"),
        (lambda m: m.pop("data"), "data: Field required"),
        (lambda m: m.update(grid=[10**6, 10**6]), r"grid \(1000000, 1000000\) of frames 64x64"),
        (lambda m: m["data"].update(frame_size=[10**6, 10**6]), "data.frame_size.0: .*less than or equal to 1024"),
        (lambda m: m["data"].update(fps=float("inf")), "data.fps"),
        (lambda m: m["data"].update(action_names=["w"] * 10**6), "expected each name once"),
        (lambda m: m["dynamics"].update(channels=10**9), "dynamics.channels: .*less than or equal to 1024"),
        (lambda m: m["dynamics"].update(layers=16, channels=1024), "tensor .* is .*, this model wants float32"),
        (lambda m: m["tokenizer"].update(levels=[16] * 16), "tokenizer: .*expected at most 65536"),
        (lambda m: m["data"].update(source={"kind": "blocks"}), "terrain"),
    ],
)
def test_a_manifest_that_claims_too_much_or_says_too_little(folder: Path, change: Any, says: str) -> None:
    change_manifest(folder, change)
    with pytest.raises(ValueError, match=says):
        LiveModel.load(folder).simulator()


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (lambda x: x * torch.nan, "holds NaN or infinity"),
        (lambda x: x[:-1], r"is float32 \(.*this model wants float32 \("),
        (lambda x: x.double(), "is float64 .*this model wants float32"),
        (lambda x: x.to(torch.int64), "is int64 .*this model wants float32"),
    ],
    ids=["NaN", "shape", "float64", "int64"],
)
def test_weights_that_are_of_no_use(folder: Path, tensor: Any, says: str) -> None:
    change_weights(folder, "head.conv.bias", tensor)
    with pytest.raises(ValueError, match=f"tensor head.conv.bias {says}"):
        LiveModel.load(folder)


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"a": "\\ud800"}', "\xff"])
def test_a_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"manifest\.json"):
        LiveModel.load(folder)
