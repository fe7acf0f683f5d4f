"""Are the pictures those of a block world? Read by a probe that names blocks, faces and depths (probe/model.py), in
windows of long walks, beside the simulator's frames of the same kind of walk.

Every figure is relative, so that its value for a perfect model is known: 1, and .5 for the two-sample error.

- `frechet_ratio`, `kid_ratio`: distance (pictures/frechet.py) from the model's features, MIDDLE of the probe's, to
  those of OTHERS times as many walks of the simulator through other worlds, over the distance of the simulator's walks
  under the model's actions to the same. Both samples have one size, begin in the same places, and share the luck of
  that choice. The ratio depends on the size, for it is against the difference between two sets of real walks that the
  model's own is seen. Features are in deviations of those of all random walks.
- `legibility`: share of the cells of 2x2 pixels that the probe names surely, over that share on the simulator's frames.
  Sure is a joint probability of its three answers that is at least the manifest's `sure`: a quarter of real cells are.
- `two_sample_error`: held-out error of a classifier of the model's frames and the simulator's (two_sample.py).
- `straight_edges`: share of the pixels on a straight edge (pictures/structure.py), over the simulator's. `horizon`: of
  the places where sky and something else meet one above the other, the share with the sky above, over the simulator's.

The spread of a figure is its standard error: the deviation of the same figure over random halves of the walks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from terrarium.worlds.pictures.frechet import frechet_distance, kernel_distance
from terrarium.worlds.pictures.structure import straight_edges
from terrarium.worlds.world_model.evaluation import two_sample
from terrarium.worlds.world_model.evaluation.judged import WINDOWS
from terrarium.worlds.world_model.evaluation.long import LOOKS, RANDOM
from terrarium.worlds.world_model.evaluation.states import rounded
from terrarium.worlds.world_model.probe.model import FEATURES, MIDDLE, Probe

FIGURES = ("frechet_ratio", "kid_ratio", "two_sample_error", "legibility")
STRUCTURE = ("straight_edges", "horizon")
HALVES = 12
LITTLE = 1e-3  # keeps ratios finite where few walks all face a wall; for the same reason a border of the sky is added
EDGES_EVERY = 2  # of the looks are searched for edges


@dataclass
class Side:
    """What the figures are made of, for the frames [B, T] of one side."""

    features: np.ndarray  # float32 [B, T, F]
    surely: np.ndarray  # float32 [B, T], shares of the cells
    sky: np.ndarray  # int64 [B, T, 2]: places where sky and something else meet, and those with the sky above
    straight: np.ndarray  # float32 [B, T]; NaN where not searched

    def walks(self, rows: np.ndarray | slice) -> Side:
        return Side(self.features[rows], self.surely[rows], self.sky[rows], self.straight[rows])

    def within(self, first: int, last: int) -> Side:
        """The looks of a window: after step `first`, and up to `last`."""
        at = (first < LOOKS) & (last >= LOOKS)
        return Side(self.features[:, at], self.surely[:, at], self.sky[:, at], self.straight[:, at])


def look(probe: Probe, sure: float, frames: np.ndarray) -> Side:
    """uint8 [B, T, H, W, 3], read."""
    sight = probe.read(frames)
    straight = np.full(frames.shape[:2], np.nan, np.float32)
    straight[:, ::EDGES_EVERY] = straight_edges(frames[:, ::EDGES_EVERY])
    upper, lower = sight.sky[..., :-1, :], sight.sky[..., 1:, :]
    meetings = np.stack([x.sum(axis=(2, 3)) for x in (upper != lower, upper & ~lower)], axis=-1)
    return Side(sight.features, (sight.confidence >= sure).mean(axis=(2, 3)), meetings, straight)


def realism(sides: dict[str, tuple[Side, Side, Side]], seed: int) -> dict[str, Any]:
    """`sides`: own, real and other of each kind of walk -> {group: figures by window, or by kind and window}."""
    usual = sides[RANDOM][2].features.reshape(-1, FEATURES)
    mean, deviation = usual.mean(axis=0), usual.std(axis=0) + 1e-6
    found: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for kind, three in sides.items():
        own, real, other = (replace(side, features=(side.features - mean) / deviation) for side in three)
        found[kind] = {
            name: figures(*(side.within(*steps) for side in (own, real, other)), seed=seed)
            for name, steps in WINDOWS.items()
        }

    def part(i: int, names: tuple[str, ...], kind: str) -> dict[str, dict[str, float]]:
        return {window: {name: rounded(f[name][i]) for name in names} for window, f in found[kind].items()}

    return {
        "realism": part(0, FIGURES, RANDOM),
        "realism_held": {kind: part(0, FIGURES, kind) for kind in found if kind != RANDOM},
        "realism_structure": {kind: part(0, STRUCTURE, kind) for kind in found},
        "realism_spread": {kind: part(1, FIGURES + STRUCTURE, kind) for kind in found},
    }


def figures(own: Side, real: Side, other: Side, *, seed: int) -> dict[str, tuple[float, float]]:
    """{name: (value, spread)}"""
    b = len(own.features)
    rng = np.random.default_rng(seed)
    halves = []
    for _ in range(HALVES):
        rows, others = (rng.permutation(n)[: n // 2] for n in (b, len(other.features)))
        halves.append(_ratios(own.walks(rows), real.walks(rows), other.walks(others)))
    values = _ratios(own, real, other)
    found = {name: (value, float(np.std([h[name] for h in halves]))) for name, value in values.items()}
    errors = two_sample.errors(own.features, real.features)
    return found | {"two_sample_error": (float(errors.mean()), float(errors.std() / np.sqrt(b)))}


def _ratios(own: Side, real: Side, other: Side) -> dict[str, float]:
    mine, theirs, rest = (s.features[..., MIDDLE].reshape(-1, len(MIDDLE)) for s in (own, real, other))
    up, up_real = (s.sky.sum(axis=(0, 1)) for s in (own, real))
    return {
        "frechet_ratio": frechet_distance(mine, rest) / max(frechet_distance(theirs, rest), LITTLE),
        "kid_ratio": kernel_distance(mine, rest) / max(kernel_distance(theirs, rest), LITTLE),
        "legibility": (own.surely.mean() + LITTLE) / (real.surely.mean() + LITTLE),
        "straight_edges": (np.nanmean(own.straight) + LITTLE) / (np.nanmean(real.straight) + LITTLE),
        "horizon": (up[1] + 1) / (up[0] + 1) * (up_real[0] + 1) / (up_real[1] + 1),
    }
