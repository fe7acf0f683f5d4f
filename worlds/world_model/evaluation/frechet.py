"""How far the end of long rollouts is from real clips, as the judge of keys sees both."""

from __future__ import annotations

from typing import Any

import numpy as np

from terrarium.worlds.pictures.frechet import frechet_distance
from terrarium.worlds.world_model.evaluation.judged import Reading
from terrarium.worlds.world_model.evaluation.states import rounded


def far_distance(reading: Reading, reference: np.ndarray) -> dict[str, Any]:
    """The second half of long rollouts, and the simulator's frames of the same actions, against `reference` [N, F]:
    features of real clips from other worlds. What the second is above zero is between real clips alike."""
    half = reading.held.shape[1] // 2
    own, real = (x[:, half:].reshape(-1, x.shape[-1]) for x in (reading.own_features, reading.real_features))
    return {
        "frechet_distance": rounded(frechet_distance(own, reference)),
        "frechet_distance_real": rounded(frechet_distance(real, reference)),
    }
