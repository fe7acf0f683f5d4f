"""One weighted sampler over both domains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def sample_weights(domains: Sequence[tuple[float, Sequence[bool]]], synthetic: float) -> np.ndarray:
    """Probabilities [N] of all samples of all domains. A domain is its share and whether the diffuse of each of its
    samples was synthesised: a sample's weight is share / size x (`synthetic` if it was, else 1)."""
    each = [
        np.array([synthetic if was else 1.0 for was in flags]) * share / max(1, len(flags)) for share, flags in domains
    ]
    weights = np.concatenate(each)
    if weights.sum() <= 0:
        raise ValueError(
            f"no sample has any weight: {sum(len(f) for _, f in domains)} samples, shares "
            f"{[share for share, _ in domains]}, synthesised ones weigh {synthetic}"
        )
    return weights / weights.sum()
