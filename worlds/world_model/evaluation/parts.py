"""The finished parts of an evaluation on disk: one that was interrupted goes on after them, to the same result.

A part is what one function gives, tensors and JSON. Each is a state (worlds/checkpoint.py) of its own, with torch's
random state after it, and counts only while all parts before it are there: `state/step_000000001`, 2, 3, ...
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from worlds.checkpoint import load_checkpoint, save_checkpoint
from worlds.progress import Progress

Part = tuple[dict[str, torch.Tensor], dict[str, Any]]
KIND = "training-state"
RANDOM = "random"  # torch's state, among a part's tensors


class Parts:
    """Call it with the function of each part, in the same order in every run."""

    def __init__(self, states: Path | None, key: dict[str, Any], progress: Progress) -> None:
        """`states`: None keeps nothing. `key`: what must not differ between the runs of one evaluation; JSON."""
        self.states, self.key, self.progress = states, key, progress
        self.known = states is not None  # until a part is missing
        self.number = 0

    def __call__(self, make: Callable[[], Part]) -> Part:
        self.number += 1
        if self.known:
            try:
                return self._load()
            except ValueError:  # none, a damaged one, or another evaluation's
                self.known = False
                if self.number > 1:
                    self.progress.resumed(self.number - 1)
        part = make()
        if self.states is not None:
            self._save(*part)
        return part

    @property
    def folder(self) -> Path:
        assert self.states is not None
        return self.states / f"step_{self.number:09d}"

    def _load(self) -> Part:
        tensors, manifest = load_checkpoint(self.folder, KIND)
        if manifest["key"] != self.key:
            raise ValueError(f"{self.folder} belongs to {manifest['key']}, expected {self.key}")
        torch.set_rng_state(tensors.pop(RANDOM))
        return {name: _laid_out(x, manifest["strides"][name]) for name, x in tensors.items()}, manifest["values"]

    def _save(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        strides = {name: x.stride() for name, x in tensors.items()}
        facts = {"key": self.key, "values": values, "strides": strides}
        save_checkpoint(self.folder, KIND, tensors | {RANDOM: torch.get_rng_state()}, facts)
        self.progress.checkpoint(self.number, self.folder)


def _laid_out(x: torch.Tensor, stride: list[int]) -> torch.Tensor:
    """With the strides that it had: a convolution's last bits depend on them."""
    return torch.empty_strided(x.shape, stride, dtype=x.dtype).copy_(x)
