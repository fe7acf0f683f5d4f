"""Saved states of a run: `step_*/` folders, each written as a whole, the newest ones kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from terrarium.worlds.checkpoint import load_checkpoint, save_checkpoint


@dataclass(frozen=True)
class Identity:
    """What must not differ between the runs of one state, by name: a config's fields, hashes of its inputs.

    A field that a state does not have was added to the config since then: the state counts as made with its default.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """`lr 0.5, was 0.001`, a line for each name whose value in a state is another."""
        then = {**self.defaults, **saved}
        return [
            f"{name} {_shown(self.values, name)}, was {_shown(then, name)}"
            for name in sorted({*self.values, *saved})
            if _shown(self.values, name) != _shown(then, name)
        ]


def identity(config: Any, leave_out: Collection[str] = (), **inputs: Any) -> Identity:
    """Of a config dataclass, less the fields that may change on a resume, and of the inputs (a name, a hash)."""
    values = {k: v for k, v in asdict(config).items() if k not in leave_out}
    defaults = {f.name: f.default for f in fields(config) if f.default is not MISSING}
    defaults |= {f.name: f.default_factory() for f in fields(config) if f.default_factory is not MISSING}
    return Identity(*json.loads(json.dumps([values | inputs, defaults])))  # as a manifest holds them


def _shown(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name]) if name in values else "nothing"


@dataclass
class State:
    """`facts`: step, stage, the step with which that stage began, and its history."""

    folder: Path
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names begin with `prefix` and a dot, without it, on the CPU."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


class States:
    def __init__(self, folder: Path, identity: Identity, keep: int) -> None:
        self.folder, self.identity, self.keep = folder, identity, keep

    def save(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> Path:
        folder = self.folder / f"step_{facts['step']:09d}"
        save_checkpoint(folder, "training-state", tensors, facts | {"identity": dict(self.identity.values)})
        for old in sorted(self.folder.glob("step_*[0-9]"))[: -self.keep]:
            shutil.rmtree(old)
        return folder

    def newest(self) -> State | None:
        """The newest state that verifies; ValueError where it is another run's."""
        for folder in sorted(self.folder.glob("step_*[0-9]"), reverse=True):
            try:
                tensors, facts = load_checkpoint(folder, "training-state")
            except ValueError:
                continue  # a damaged state: fall back to the one before
            if "identity" not in facts:
                raise ValueError(f"{folder} was written by an earlier version: use an empty folder for this run")
            if found := self.identity.differences(facts["identity"]):
                raise ValueError(
                    f"{folder} belongs to another config or dataset ({'; '.join(found)}): "
                    "use an empty folder for this run"
                )
            return State(folder, tensors, facts)
        return None


def newest_state(run: Path) -> State:
    """Of a run's folder, whatever its config was. ValueError where there is none."""
    folders = sorted((run / "state").glob("step_*[0-9]"))
    if not folders:
        raise ValueError(f"{run} has no training state: expected state/step_* in it")
    return State(folders[-1], *load_checkpoint(folders[-1], "training-state"))
