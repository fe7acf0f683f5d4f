"""Can anybody tell the model's frames from the simulator's? A classifier's two-sample test (Lopez-Paz and Oquab 2017,
arXiv:1610.06545): the error of a classifier on walks that it was not fitted to, .5 where it cannot tell.

The classifier is a logistic regression on standardised features. A walk of the model and the simulator's walk of the
same actions lie in the same fold, so the content of a world tells it nothing.
"""

from __future__ import annotations

import numpy as np

FOLDS = 4
DECAY = 0.3  # of the weights, for each row
ROUNDS = 12  # of Newton's method


def errors(own: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Features [B, N, F] of B walks and of the simulator's under the same actions -> held-out error of each walk, [B].

    ValueError where there are fewer than two walks.
    """
    walks = len(own)
    if walks < 2:
        raise ValueError(f"{walks} walks: a two-sample test fits on some and asks about others, expected at least 2")
    folds = np.arange(walks) % min(FOLDS, walks)
    found = np.zeros(walks)
    for fold in np.unique(folds):
        kept, asked = folds != fold, folds == fold
        weights, mean, deviation = fit(_rows(own[kept]), _rows(real[kept]))
        score_own, score_real = (_with_one((x[asked] - mean) / deviation) @ weights for x in (own, real))
        wrong = np.stack([_share_wrong(score_own), _share_wrong(-score_real)])
        found[asked] = wrong.mean(axis=0)
    return found


def fit(own: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows [M, F] each -> weights [F + 1] whose score is positive for `own`, and the mean and deviation [F] of the
    features that they are for."""
    both = np.concatenate([own, real]).astype(np.float64)
    mean, deviation = both.mean(axis=0), both.std(axis=0) + 1e-6
    x = _with_one((both - mean) / deviation)
    y = np.r_[np.ones(len(own)), np.zeros(len(real))]
    weights = np.zeros(x.shape[1])
    ridge = DECAY * len(x) * np.r_[np.ones(x.shape[1] - 1), 1e-6]
    for _ in range(ROUNDS):
        p = 1 / (1 + np.exp(-(x @ weights).clip(-30, 30)))
        gradient = x.T @ (p - y) + ridge * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        weights -= np.linalg.solve(curvature, gradient)
    return weights, mean, deviation


def _share_wrong(score: np.ndarray) -> np.ndarray:
    """Scores [B, N] that ought to be positive -> [B]; a score of zero is half wrong."""
    return ((score < 0) + 0.5 * (score == 0)).mean(axis=1)


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)
