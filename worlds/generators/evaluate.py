"""What a generator is worth: worlds for captions of held-out combinations, beside the structures they were written for.

class_accuracy, attribute_accuracy   share that the classifier names rightly: the class; material and size, their mean
fd          Frechet distance between the classifier's features of the worlds and of the structures
diversity   mean distance between the features of two worlds
novelty     1 - IoU with the nearest training structure, a block being the same if its type is; its mean

Figures that end in `_real` are those of structures: of the same captions, and for `fd_real` of as many others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.generators.classifier import (
    SIDE,
    accuracy,
    load_classifier,
    shipped_classifier,
)
from terrarium.worlds.generators.codes import TYPES
from terrarium.worlds.generators.data import held_out
from terrarium.worlds.generators.model import Generator, load_generator
from terrarium.worlds.generators.samplers import Plan, sample
from terrarium.worlds.pictures.frechet import frechet_distance

WORLDS = 256
AT_ONCE = 32
TIMED = 5  # worlds drawn alone, for the time of one
KNOWN = 4096  # training structures among which the nearest is sought
FIRST_SEED = 20_000  # of the structures; seeds of an evaluation are 1000 apart


def evaluate(folder: Path, seed: int, *, worlds: int = WORLDS, steps: int = 20, cfg: float = 3.0) -> dict[str, Any]:
    """ValueError for a negative seed, a folder that is no generator's, or worlds of another size than the
    classifier's."""
    if not 0 <= seed < 10_000:
        raise ValueError(f"seed {seed}: expected 0 to 9999")
    generator, _ = load_generator(folder)
    if generator.size != SIDE:
        raise ValueError(f"{folder} makes worlds of {generator.size} blocks a side: the classifier reads {SIDE}")
    classifier = load_classifier(shipped_classifier())
    first = FIRST_SEED + 1000 * seed
    wanted, others = held_out(first, worlds, SIDE), held_out(first + 500, worlds, SIDE)
    captions = [each.caption for each in wanted]
    plan = Plan(seeds=(), steps=steps, cfg=cfg)
    made = drawn(generator, captions, seed, plan)
    real = [each.blocks for each in wanted]
    features, answers = classifier.read(made)
    features_real, answers_real = classifier.read(real)
    own, reference = accuracy(answers, wanted), accuracy(answers_real, wanted)
    known = [structure(i, SIDE).blocks for i in range(KNOWN)]
    found = {
        "class_accuracy": own["class"],
        "class_accuracy_real": reference["class"],
        "attribute_accuracy": attributes(own),
        "fd": frechet_distance(features, features_real),
        "diversity": spread(features),
        "novelty": novelty(made, known),
        "seconds_a_world": alone(generator, captions[:TIMED], plan),
        "attribute_accuracy_real": attributes(reference),
        "fd_real": frechet_distance(classifier.read([each.blocks for each in others])[0], features_real),
        "diversity_real": spread(features_real),
        "novelty_real": novelty(real, known),
        "by_attribute": own,
    }
    return {"seed": seed, "worlds": worlds, "steps": steps, "cfg": cfg} | rounded(found)


def drawn(generator: Generator, captions: Sequence[str], seed: int, plan: Plan) -> list[np.ndarray]:
    """A world a caption by the plan, but for its seeds: world i has the seed `seed` * 1000000 + i."""
    made: list[np.ndarray] = []
    for start in range(0, len(captions), AT_ONCE):
        part = captions[start : start + AT_ONCE]
        seeds = tuple(seed * 1_000_000 + start + i for i in range(len(part)))
        made += sample(generator, part, replace(plan, seeds=seeds))
    return made


def attributes(found: Mapping[str, float]) -> float:
    return (found["material"] + found["size"]) / 2


def spread(features: np.ndarray) -> float:
    """Mean distance between two of the features [N, F]."""
    squares = (features.astype(np.float64) ** 2).sum(1)
    squared = squares[:, None] + squares[None] - 2 * features.astype(np.float64) @ features.T
    n = len(features)
    return float(np.sqrt(squared.clip(min=0)).sum() / (n * (n - 1)))


def novelty(worlds: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> float:
    """Mean of 1 - the largest IoU with one of `known`, over pairs of a place and a type."""
    a, b = (np.stack(each).reshape(len(each), -1) for each in (worlds, known))
    both = np.zeros((len(a), len(b)), np.float32)
    for type in range(AIR + 1, TYPES):
        both += (a == type).astype(np.float32) @ (b == type).astype(np.float32).T
    either = (a != AIR).sum(1)[:, None] + (b != AIR).sum(1)[None] - both
    return float(1 - (both / np.maximum(either, 1)).max(1).mean())


def alone(generator: Generator, captions: Sequence[str], plan: Plan) -> float:
    """Median seconds that one world takes, drawn alone."""
    taken = []
    for i, caption in enumerate(captions):
        started = time.monotonic()
        sample(generator, [caption], replace(plan, seeds=(i,)))
        taken.append(time.monotonic() - started)
    return float(np.median(taken))


def rounded(found: Mapping[str, Any]) -> dict[str, Any]:
    return {k: rounded(v) if isinstance(v, Mapping) else round(v, 4) for k, v in found.items()}
