"""Where play begins when there is no simulator: contexts of real frames that a checkpoint carries with it.

    starts.npz    frames uint8 [N, BURN_IN, H, W, 3], actions float32 [N, BURN_IN - 1, A]

They come from held-out episodes, so that play starts in a place that training has not seen.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from worlds.durable import new_file
from worlds.episodes.format import Dataset
from worlds.world_model.rollout import BURN_IN

MOST = 32  # about 1 MB at 64 x 64


def save_starts(folder: Path, dataset: Dataset) -> None:
    """Writes `folder`/starts.npz: at most `MOST` contexts, evenly spread over the held-out episodes.

    ValueError where there is no held-out episode of `BURN_IN` frames.
    """
    episodes = [e for e in dataset.split("val") if len(e.frames) >= BURN_IN]
    if not episodes:
        raise ValueError(f"dataset {dataset.path} has no held-out episode of {BURN_IN} frames, which play starts from")
    places = [(e, t) for e in episodes for t in range(len(e.frames) - BURN_IN + 1)]
    chosen = [places[i] for i in np.unique(np.linspace(0, len(places) - 1, MOST).round().astype(int))]
    frames = np.stack([e.frames[t : t + BURN_IN] for e, t in chosen])
    actions = np.stack([e.actions[t : t + BURN_IN - 1] for e, t in chosen])
    with new_file(folder / "starts.npz") as file:
        np.savez_compressed(file, frames=frames, actions=actions)


def load_starts(folder: Path, frame_size: tuple[int, int], columns: int) -> tuple[np.ndarray, np.ndarray]:
    """-> frames, actions. ValueError where the file is missing, broken, or not of this frame size and action vector."""
    file = folder / "starts.npz"
    try:
        with np.load(file, allow_pickle=False) as arrays:
            frames, actions = arrays["frames"], arrays["actions"]
    except FileNotFoundError:
        raise ValueError(f"{folder} has neither a simulator nor a starts.npz: there is nowhere to start play") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise ValueError(f"{file} is broken ({e}): expected arrays `frames` and `actions`") from None
    n = len(frames)
    want = ((n, BURN_IN, *frame_size, 3), "uint8", (n, BURN_IN - 1, columns), "float32")
    have = (frames.shape, str(frames.dtype), actions.shape, str(actions.dtype))
    if n == 0 or have != want:
        raise ValueError(f"{file} holds frames and actions {have}, expected {want} with at least one start")
    return frames, actions
