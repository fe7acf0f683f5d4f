"""Distances between two sets of features.

Frechet distance, as of two normal distributions (Heusel et al. 2017, arXiv:1706.08500, equation 6):
|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). Kernel distance, KID (Binkowski et al. 2018, arXiv:1801.01401): the squared
maximum mean discrepancy under the kernel (x.y / F + 1)^3. It is that of the two sets, not the paper's unbiased estimate
for what they were drawn from, which between few walks may be zero or less, and then nothing can be divided by it.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Features [N, F] and [M, F], N and M larger than 1 -> 0 or more."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{len(a)} and {len(b)} feature vectors: expected at least 2 on each side")
    ca, cb = (np.cov(x.astype(np.float64), rowvar=False) for x in (a, b))
    # tr (Ca Cb)^(1/2) is the sum of the roots of the eigenvalues of the symmetric Ca^(1/2) Cb Ca^(1/2).
    values, vectors = np.linalg.eigh(ca)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cb @ root).clip(min=0)).sum()
    gap = ((a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64)) ** 2).sum()
    return max(0.0, float(gap + np.trace(ca) + np.trace(cb) - 2 * cross))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Features [N, F] and [M, F] -> 0 or more; 0 for the same set."""
    return max(0.0, float(_kernel(a, a).mean() + _kernel(b, b).mean() - 2 * _kernel(a, b).mean()))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) @ b.T.astype(np.float64) / a.shape[1] + 1) ** 3
