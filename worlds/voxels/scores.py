"""How good exported blocks are: against pictures, and against the world that they show.

Interiors cannot be seen. A voxel counts as seen where at least one ray of a view reaches it: the solid ones that are
first on a ray, and the empty ones before them. Materials count for the solid ones; one that is not there is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.blocks.palette import AIR
from terrarium.worlds.voxels.guidance.base import View
from terrarium.worlds.voxels.render import of_blocks, render

FAINT = 1e-3  # opacity of empty voxels, so that those on a ray are told from those that none reaches
MOST_DB = 99.0  # PSNR of pictures that are the same


def hard_psnr(blocks: np.ndarray, views: Sequence[View], pictures: Tensor) -> float:
    """PSNR in dB over all pixels of all views; pictures [N, H, W, 3] in [0, 1]."""
    alpha, colour = of_blocks(blocks)
    errors = [
        (render(alpha, colour, view.camera).rgb - picture).square().mean()
        for view, picture in zip(views, pictures, strict=True)
    ]
    error = float(torch.stack(errors).mean())
    return min(MOST_DB, -10 * float(np.log10(max(error, 1e-12))))


def seen(blocks: np.ndarray, views: Sequence[View]) -> np.ndarray:
    """Voxels that a ray of some view reaches, bool [X, Y, Z]: its colour has a gradient."""
    alpha, colour = of_blocks(blocks)
    alpha = alpha.clamp(min=FAINT)
    colour.requires_grad_()
    for view in views:
        render(alpha, colour, view.camera).rgb.sum().backward()
    assert colour.grad is not None
    return (colour.grad.amax((-1, -2)) > 0).numpy()


def against(blocks: np.ndarray, truth: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """IoU of the voxels `known`, those seen (`iou`), and of all (`iou_full`); share of the seen solid ones whose
    material is right. All of [X, Y, Z]."""
    there, wanted = blocks != AIR, truth != AIR
    visible = wanted & known
    return {
        "iou": iou(there & known, visible),
        "iou_full": iou(there, wanted),
        "material_accuracy": float((blocks == truth)[visible].mean()) if visible.any() else 1.0,
    }


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """1 where both are empty."""
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0
