"""Where play begins when there is no simulator: contexts of real frames that a checkpoint carries with it.

    starts.npz    frames uint8 [N, BURN_IN, H, W, 3], actions float32 [N, BURN_IN - 1, A]

They come from held-out episodes, so that play starts in a place that training has not seen.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from terrarium.worlds.durable import new_file
from terrarium.worlds.episodes.format import Dataset
from terrarium.worlds.world_model.rollout import BURN_IN

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
        with zipfile.ZipFile(file) as arrays:
            heads = *_head(arrays, "frames"), *_head(arrays, "actions")
            n = heads[0][0] if heads[0] else 0
            want = ((n, BURN_IN, *frame_size, 3), "uint8", (n, BURN_IN - 1, columns), "float32")
            if not 1 <= n <= MOST or heads != want:
                raise Misfit(f"{file} holds frames and actions {heads}, expected {want} with 1 to {MOST} starts")
            frames, actions = _data(arrays, "frames"), _data(arrays, "actions")
    except FileNotFoundError:
        raise ValueError(f"{folder} has neither a simulator nor a starts.npz: there is nowhere to start play") from None
    except Misfit:
        raise
    except (ValueError, KeyError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        raise ValueError(f"{file} is broken ({e}): expected arrays `frames` and `actions`") from None
    if not np.isfinite(actions).all():
        raise ValueError(f"{file} holds actions that are NaN or infinite")
    return frames, actions


class Misfit(ValueError):
    """The arrays are sound, and not those that are wanted."""


def _head(arrays: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and dtype that an array claims to have: its data may be more than there is memory for."""
    with arrays.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, str(dtype)


def _data(arrays: zipfile.ZipFile, name: str) -> np.ndarray:
    with arrays.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
