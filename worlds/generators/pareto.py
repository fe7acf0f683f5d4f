"""What a run of `generator.align` measures, kept so that every measurement can be looked at and drawn with.

pareto.json is {"base": figures, "prompts": [caption], "best": step, "steps": [{"step", **figures}]}; `best` is 0 where
no measurement is within the budgets. `measured/` holds the adapters of each step. The finished generator has them in
adapters.safetensors, named `<step>.<parameter>`, and as `best.<parameter>` those that were added to its weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from terrarium.worlds.checkpoint import load_into, read_manifest
from terrarium.worlds.durable import new_file, write_text
from terrarium.worlds.generators.lora import adapt
from terrarium.worlds.generators.model import KIND, Generator, load_generator
from terrarium.worlds.progress import Progress
from terrarium.worlds.training.lora import is_adapters
from terrarium.worlds.voxels.export import turntable
from terrarium.worlds.voxels.render import of_blocks

ADAPTERS = "adapters.safetensors"
TURN, SIDE = 12, 128  # views of a world on a sheet, and pixels of a view
# Of each face (worlds/blocks/palette.py) its outward normal as a colour: -1 to 1 along x, y, z as red, green, blue.
NORMALS = (1 + torch.stack([sign * axis for axis in torch.eye(3) for sign in (-1, 1)])) / 2


class Pareto:
    """pareto.json and `measured/` of a run; steps that are repeated after a resume replace their like."""

    def __init__(
        self, out_dir: Path, progress: Progress, base: Mapping[str, float], prompts: Sequence[str], vis_normal: bool
    ) -> None:
        self.out_dir, self.progress, self.base, self.prompts = out_dir, progress, dict(base), list(prompts)
        self.vis_normal = vis_normal
        self.file, self.measured = out_dir / "pareto.json", out_dir / "measured"
        kept: dict[str, Any] = json.loads(self.file.read_text()) if self.file.is_file() else {"best": 0, "steps": []}
        self.best: int = kept["best"]
        self.rows: list[dict[str, float]] = kept["steps"]

    def begin(self, worlds: Sequence[np.ndarray]) -> None:
        """`worlds`: the base's."""
        self.measured.mkdir(parents=True, exist_ok=True)
        self.report()
        self.show("before", "the base", worlds)

    def add(
        self, step: int, found: Mapping[str, float], best: int, generator: Generator, worlds: Sequence[np.ndarray]
    ) -> None:
        """`best`: the step of the best measurement so far; `worlds`: the generator's."""
        with new_file(self.measured / f"{step}.safetensors") as stream:
            stream.write(save(adapters_of(generator)))
        self.rows = [row for row in self.rows if row["step"] < step] + [{"step": step, **found}]
        self.best = best
        self.report()
        self.show("after", f"step {step}", worlds)

    def report(self) -> None:
        told = {"base": self.base, "prompts": self.prompts, "best": self.best, "steps": self.rows}
        write_text(self.file, json.dumps(told, indent=1))
        self.progress.file(self.file, "what was measured")

    def show(self, name: str, caption: str, worlds: Sequence[np.ndarray]) -> None:
        """A sheet as a preview: a row a world, a column a view of its turn; with `vis_normal` one of normals too."""
        sheets = {name: [of_blocks(blocks) for blocks in worlds]}
        if self.vis_normal:
            sheets[f"{name}-normals"] = [(alpha, NORMALS.expand_as(colour)) for alpha, colour in sheets[name]]
        for sheet, turned in sheets.items():
            rows = [np.concatenate(list(turntable(*world, TURN, SIDE)), axis=1) for world in turned]
            file = self.out_dir / f"{sheet}.png"
            Image.fromarray(np.concatenate(rows)).save(file)
            self.progress.file(file, caption, role="preview")

    def save_adapters(self, folder: Path, best: Mapping[str, Tensor]) -> None:
        """Writes those of every measurement beside the finished generator's weights."""
        tensors = {f"best.{name}": tensor for name, tensor in best.items()}
        for row in self.rows:
            kept = load_file(self.measured / f"{row['step']}.safetensors")
            tensors |= {f"{row['step']}.{name}": tensor for name, tensor in kept.items()}
        save_file(tensors, folder / ADAPTERS)


def adapters_of(generator: Generator) -> dict[str, Tensor]:
    """By name, on the CPU."""
    return {k: v.detach().cpu().contiguous() for k, v in generator.state_dict().items() if is_adapters(k)}


def load_measured(folder: Path, step: int | None) -> tuple[Generator, dict[str, Any]]:
    """An aligned generator as it was measured at `step`, up to rounding, or as it is; and its manifest.

    ValueError for a step that was not measured, and where its adapters are not there or do not fit.
    """
    generator, manifest = load_generator(folder)
    if step is None:
        return generator, manifest
    tensors = _kept(folder, step)
    _add(generator, tensors, f"{step}.", 1)
    _add(generator, tensors, "best.", -1)
    return generator, manifest


def put_on(generator: Generator, sha256: str, folder: Path, step: int | None) -> None:
    """Puts an aligned generator's adapters, of measurement `step` or of the best, beside the layers of their base, the
    generator of this hash. Switched off (lora.base_of) they leave it as it is, bit for bit.

    ValueError for adapters of another base, and as `load_measured`.
    """
    base = read_manifest(folder, KIND).get("aligned", {}).get("base")
    if base is None:
        raise ValueError(f"{folder} is a generator that was not aligned: expected one with adapters")
    if base != sha256:
        raise ValueError(f"the adapters of {folder} belong to generator {base[:12]}: expected those of {sha256[:12]}")
    prefix = "best." if step is None else f"{step}."
    kept = {k.removeprefix(prefix): v for k, v in _kept(folder, step).items() if k.startswith(prefix)}
    device = generator.alpha.device
    adapt(generator, next(len(tensor) for name, tensor in kept.items() if name.endswith(".down.weight")))
    layers = {name: tensor for name, tensor in generator.state_dict().items() if not is_adapters(name)}
    load_into(generator, layers | kept, folder)
    generator.to(device).requires_grad_(False)


def _kept(folder: Path, step: int | None) -> dict[str, Tensor]:
    """Of the finished generator: all, where `step` (any if None) is among them."""
    file = folder / ADAPTERS
    if not file.is_file():
        raise ValueError(f"{file} is missing: expected the adapters of measurement {step or 'best'}")
    tensors = load_file(file)
    known = sorted({int(name.split(".")[0]) for name in tensors if not name.startswith("best.")})
    if step is not None and step not in known:
        raise ValueError(f"measurement {step}: expected one of {', '.join(map(str, known))}")
    return tensors


def _add(generator: Generator, tensors: Mapping[str, Tensor], prefix: str, sign: int) -> None:
    """Adapters to their layers, or away from them."""
    for name in tensors:
        if not (name.startswith(prefix) and name.endswith(".down.weight")):
            continue
        path = name.removeprefix(prefix).removesuffix(".down.weight")
        weight = generator.get_parameter(f"{path}.weight").data
        update = tensors[f"{prefix}{path}.up.weight"] @ tensors[name]
        if update.shape != weight.shape:
            raise ValueError(f"adapter {name} is {list(update.shape)}, this generator wants {list(weight.shape)}")
        weight += sign * update.to(weight.device)
