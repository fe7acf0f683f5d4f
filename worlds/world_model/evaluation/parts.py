"""The finished parts of an evaluation on disk: one that was interrupted goes on after them, to the same result.

A part is what one function gives, tensors and JSON. Each is a state (worlds/checkpoint.py) of its own, with torch's
random state after it, and counts only while all parts before it are there: `state/step_000000001`, 2, 3, ...
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from terrarium.worlds.checkpoint import load_checkpoint, save_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.progress import Progress

Part = tuple[dict[str, torch.Tensor], dict[str, Any]]
KIND = "training-state"
RANDOM = "random."  # begins the names of torch's states, among a part's tensors


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
        _set_random({name: tensors.pop(name) for name in list(tensors) if name.startswith(RANDOM)})
        return {name: _as_it_was(x, **manifest["layout"][name]) for name, x in tensors.items()}, manifest["values"]

    def _save(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        layout = {name: {"stride": x.stride(), "on_cpu": x.device.type == "cpu"} for name, x in tensors.items()}
        facts = {"key": self.key, "values": values, "layout": layout}
        save_checkpoint(self.folder, KIND, tensors | _random(), facts)
        self.progress.checkpoint(self.number, self.folder)


def _as_it_was(x: torch.Tensor, stride: list[int], on_cpu: bool) -> torch.Tensor:
    """Where it was, and with the strides that it had: a convolution's last bits depend on them."""
    device = "cpu" if on_cpu else default_device()
    return torch.empty_strided(x.shape, stride, dtype=x.dtype, device=device).copy_(x)


def _random() -> dict[str, torch.Tensor]:
    states = {f"{RANDOM}cpu": torch.get_rng_state()}
    if default_device().type == "cuda":
        states[f"{RANDOM}cuda"] = torch.cuda.get_rng_state(default_device())
    return states


def _set_random(states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states[f"{RANDOM}cpu"])
    if f"{RANDOM}cuda" in states:
        torch.cuda.set_rng_state(states[f"{RANDOM}cuda"], default_device())
