"""Which class of structure a block world is, named from its pictures by a small convolutional network.

It was trained on the simulator's structures alone, so it measures how far a generated world can be recognised. Made by

    python -m terrarium.worlds.voxels.judge OUT

which trains it, prints its accuracy on held-out combinations, and writes a checkpoint `voxel-judge`.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.blocks.structures.source import FIRST, structure
from terrarium.worlds.checkpoint import build, load_checkpoint, save_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.precision import in_full
from terrarium.worlds.progress import Progress, Silent
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.states import Identity
from terrarium.worlds.training.task import Stage, Step, Task
from terrarium.worlds.voxels.prior.data import SIZES, picture, random_view

NAMES = FIRST
VIEWS = tuple((azimuth, elevation) for elevation in (15.0, 35.0) for azimuth in (20.0, 110.0, 200.0, 290.0))
MOST_ERRORS = (
    0.04  # share of the blocks changed at random in training, at most: worlds are never as clean as structures
)


class Judge(nn.Module):
    """Pictures [N, 3, 64, 64] in [0, 1] -> logits of NAMES, [N, 16]."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for wide, narrow in ((24, 3), (48, 24), (64, 48), (96, 64)):
            parts += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.GroupNorm(8, wide), nn.SiLU()]
        self.convs = nn.Sequential(*parts)
        self.names = nn.Linear(96 * 4 * 4, len(NAMES))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pictures: Tensor) -> Tensor:
        x = (pictures - 0.5).contiguous(memory_format=torch.channels_last)
        return self.names(self.convs(x).flatten(1))

    @torch.inference_mode()
    def probabilities(self, blocks: np.ndarray) -> np.ndarray:
        """Blocks uint8 [X, Y, Z] -> float [16] by NAMES: the mean over VIEWS."""
        seen = np.stack([picture(blocks, *view) for view in VIEWS])
        x = to_pictures(torch.from_numpy(seen).to(self.names.weight.device))
        with in_full(x):
            return F.softmax(self(x), dim=1).mean(0).cpu().numpy()


def to_pictures(seen: Tensor) -> Tensor:
    """uint8 [N, 64, 64, 3] -> float [N, 3, 64, 64] in [0, 1]."""
    return seen.permute(0, 3, 1, 2).float() / 255


def train_judge(
    out_dir: Path, progress: Progress, *, steps: int = 1500, batch: int = 32, seed: int = 0
) -> dict[str, Any]:
    torch.manual_seed(seed)
    judge = Judge()

    def sample(step: Step) -> tuple[Tensor, Tensor]:
        examples = [_example(step.rng) for _ in range(batch)]
        return torch.from_numpy(np.stack([p for p, _ in examples])), torch.tensor([n for _, n in examples])

    def loss_fn(_: Step, seen: Tensor, named: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        logits = judge(to_pictures(seen))
        return F.cross_entropy(logits.float(), named), {"accuracy": (logits.argmax(1) == named).float().mean()}

    task = Task(model=judge, learners=[adamw(judge, loss_fn, lr=2e-3, steps=steps)], sample=sample)
    loop = Loop(seed=seed, identity=Identity({"steps": steps, "batch": batch, "seed": seed}))
    best = train([Stage("train", steps, lambda _: task)], loop, out_dir, progress)
    assert isinstance(best, Judge)
    quality = accuracy(best, 20)
    manifest = {"names": list(NAMES), "steps": steps, "batch": batch, "seed": seed, "quality": quality}
    save_checkpoint(out_dir / "output", "voxel-judge", best.state_dict(), manifest)
    return quality


def _example(rng: np.random.Generator) -> tuple[np.ndarray, int]:
    made = structure(int(rng.integers(2**31)), SIZES[int(rng.integers(len(SIZES)))])
    blocks = made.blocks.copy()
    wrong = rng.random(blocks.shape) < rng.uniform(0, MOST_ERRORS)
    blocks[wrong] = np.where(rng.random(int(wrong.sum())) < 0.5, AIR, rng.integers(1, 8, int(wrong.sum())))
    return picture(blocks, *random_view(rng)), NAMES.index(made.name)


def accuracy(judge: Judge, each: int) -> dict[str, float]:
    """Share of held-out structures, `each` of every class, whose class is named: by all VIEWS and by one."""
    whole, single = [], []
    for n, name in enumerate(NAMES):
        for seed in range(each):
            blocks = structure(seed, SIZES[seed % len(SIZES)], name=name, split="held_out").blocks
            whole.append(judge.probabilities(blocks).argmax() == n)
            x = to_pictures(torch.from_numpy(picture(blocks, *VIEWS[seed % len(VIEWS)]))[None])
            with torch.inference_mode():
                single.append(int(judge(x.to(judge.names.weight.device)).argmax()) == n)
    return {"held_out_accuracy": round(float(np.mean(whole)), 4), "of_one_view": round(float(np.mean(single)), 4)}


def shipped_judge() -> Path:
    """The weights that come with the project."""
    return Path(str(files("terrarium.worlds.voxels") / "shipped_judge"))


def load_judge(folder: Path) -> Judge:
    """In eval mode on the default device. ValueError for any other kind of folder."""
    tensors, _ = load_checkpoint(folder, "voxel-judge")
    return build(Judge, tensors, folder).to(default_device()).eval()


class _Printed(Silent):
    def metrics(self, step: int, values: Any) -> None:
        print(step, json.dumps({k: round(v, 4) for k, v in values.items()}), flush=True)


if __name__ == "__main__":
    print(json.dumps(train_judge(Path(sys.argv[1]), _Printed())))
