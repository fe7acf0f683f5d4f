"""What a block world of 16 blocks a side is, read from its blocks by a small network: class, material and size.

It was trained on the simulator's structures alone, so it measures how far what is generated can be recognised, and its
features are those between which Frechet distance and diversity are taken. Made by

    python -m terrarium.worlds.generators.classifier OUT

which trains it, prints its accuracy on held-out combinations, and writes a checkpoint `world-classifier`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.blocks.structures.source import CLASSES, FIRST, Structure, structure
from terrarium.worlds.checkpoint import build, load_checkpoint, save_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.generators.codes import TYPES
from terrarium.worlds.generators.data import as_ids, held_out
from terrarium.worlds.precision import in_full
from terrarium.worlds.progress import Progress, Silent
from terrarium.worlds.training.loop import Loop, train
from terrarium.worlds.training.optimisers import adamw
from terrarium.worlds.training.states import Identity
from terrarium.worlds.training.task import Stage, Step, Task

SIDE = 16
FEATURES = 64
MATERIALS = tuple(sorted({word for row in CLASSES.values() for word in next(iter(row.choices.values()))}))
ANSWERS: dict[str, tuple[str, ...]] = {"class": FIRST, "material": MATERIALS, "size": ("small", "large")}
MOST_ERRORS = 0.04  # share of the blocks changed at random in training, at most: worlds are never as clean


class Classifier(nn.Module):
    """Ids uint8 [B, 16, 16, 16] -> {question: logits [B, answers]} of ANSWERS."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for wide, narrow in ((24, TYPES), (48, 24), (64, 48)):
            parts += [nn.Conv3d(narrow, wide, 3, stride=2, padding=1), nn.GroupNorm(8, wide), nn.SiLU()]
        self.convs = nn.Sequential(*parts)
        self.features = nn.Linear(64 * 2**3, FEATURES)
        self.heads = nn.ModuleDict({question: nn.Linear(FEATURES, len(of)) for question, of in ANSWERS.items()})

    def embed(self, ids: Tensor) -> Tensor:
        """[B, FEATURES]."""
        x = F.one_hot(ids.long(), TYPES).movedim(-1, 1).float()
        return self.features(self.convs(x).flatten(1))

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        features = F.silu(self.embed(ids))
        return {question: head(features) for question, head in self.heads.items()}

    @torch.inference_mode()
    def read(self, worlds: Sequence[np.ndarray]) -> tuple[np.ndarray, dict[str, list[str]]]:
        """Worlds uint8 [16, 16, 16] -> features [N, FEATURES], and the likeliest answers to each question."""
        ids = as_ids(worlds).to(self.features.weight.device)
        with in_full(self.features.weight):
            found = {question: logits.argmax(1).tolist() for question, logits in self(ids).items()}
            features = self.embed(ids).cpu().numpy()
        return features, {question: [ANSWERS[question][i] for i in found[question]] for question in ANSWERS}


def truth(made: Structure) -> dict[str, str]:
    """The answers; a class's first attribute is its material, by whatever name."""
    return {
        "class": made.name,
        "material": made.attributes[next(iter(CLASSES[made.name].choices))],
        "size": made.attributes["size"],
    }


def accuracy(answers: Mapping[str, Sequence[str]], made: Sequence[Structure]) -> dict[str, float]:
    """{question: share answered rightly}."""
    right = [truth(each) for each in made]
    return {
        question: float(np.mean([a == each[question] for a, each in zip(given, right, strict=True)]))
        for question, given in answers.items()
    }


def train_classifier(
    out_dir: Path, progress: Progress, *, steps: int = 300, batch: int = 64, seed: int = 0
) -> dict[str, float]:
    torch.manual_seed(seed)
    classifier = Classifier()

    def sample(step: Step) -> tuple[Tensor, ...]:
        made = [structure(int(step.rng.integers(2**31)), SIDE) for _ in range(batch)]
        right = [[ANSWERS[question].index(answer) for question, answer in truth(each).items()] for each in made]
        return as_ids([worn(each.blocks, step.rng) for each in made]), torch.tensor(right)

    def loss_fn(_: Step, ids: Tensor, right: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        logits = list(classifier(ids).values())
        losses = [F.cross_entropy(each.float(), right[:, i]) for i, each in enumerate(logits)]
        named = (logits[0].argmax(1) == right[:, 0]).float().mean()
        return torch.stack(losses).sum(), {"accuracy": named}

    task = Task(model=classifier, learners=[adamw(classifier, loss_fn, lr=2e-3, steps=steps)], sample=sample)
    loop = Loop(seed=seed, identity=Identity({"steps": steps, "batch": batch, "seed": seed}))
    best = train([Stage("train", steps, lambda _: task)], loop, out_dir, progress)
    assert isinstance(best, Classifier)
    examples = held_out(10_000, 320, SIDE)
    quality = accuracy(best.read([each.blocks for each in examples])[1], examples)
    manifest = {"answers": ANSWERS, "steps": steps, "batch": batch, "seed": seed, "quality": quality}
    save_checkpoint(out_dir / "output", "world-classifier", best.state_dict(), manifest)
    return quality


def worn(blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With some blocks changed at random: half of them to air."""
    wrong = rng.random(blocks.shape) < rng.uniform(0, MOST_ERRORS)
    count = int(wrong.sum())
    blocks = blocks.copy()
    blocks[wrong] = np.where(rng.random(count) < 0.5, AIR, rng.integers(1, TYPES, count))
    return blocks


def shipped_classifier() -> Path:
    """The weights that come with the project."""
    return Path(str(files("terrarium.worlds.generators") / "shipped_classifier"))


def load_classifier(folder: Path) -> Classifier:
    """In eval mode on the default device. ValueError for any other kind of folder."""
    tensors, _ = load_checkpoint(folder, "world-classifier")
    return build(Classifier, tensors, folder).to(default_device()).eval()


class _Printed(Silent):
    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        print(step, json.dumps({k: round(v, 4) for k, v in values.items()}), flush=True)


if __name__ == "__main__":
    print(json.dumps(train_classifier(Path(sys.argv[1]), _Printed())))
