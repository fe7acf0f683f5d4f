"""Episodes to training batches: random frames for the tokenizer, random clips of tokens for the dynamics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.durable import new_file
from terrarium.worlds.episodes.format import Dataset, Episode
from terrarium.worlds.training import parallel
from terrarium.worlds.training.states import Identity, identity
from terrarium.worlds.world_model.tokenizer import Tokenizer

# In a config, between the runs of one training. Inputs count by their contents.
MAY_CHANGE = (
    *("data", "tokenizer", "tokenizer_channels", "tokenizer_steps", "start"),
    *("checkpoint_every_s", "log_every", "steps", "painter_steps", "compile", "accumulate"),
)


class FrameStore:
    """Uniform frames out of memory-mapped episodes."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.episodes = episodes
        self.ends = np.cumsum([len(e.frames) for e in episodes])

    def sample(self, rng: np.random.Generator, n: int, part: tuple[int, int] = (0, 1)) -> np.ndarray:
        """-> uint8 [n, H, W, 3], or of these the i-th of k parts: `part` (i, k) draws all n and loads n / k."""
        picks = np.sort(rng.integers(self.ends[-1], size=n))[share(n, part)]
        return np.stack([self.episodes[e].frames[i] for e, i in zip(*located(self.ends, picks), strict=True)])


class ClipStore:
    """Clips of `length` frames: codes (held in memory, 2 bytes each), actions, and the frames themselves (on disk).

    `rare_share` of them hold a change of a key that is seldom pressed, such as the start of a jump: the frame in which
    a rare key acts is unlike every other, and a walk shows too few of them.
    """

    RARE = 0.15  # of the frames, at most, a rare key is held

    def __init__(
        self,
        episodes: list[Episode],
        codes: list[np.ndarray],
        length: int,
        rare_share: float = 0.0,
        near: list[np.ndarray] | None = None,
    ) -> None:
        """`near` float16 [T, h, w] an episode (see geometry.py): what the flow is taught by."""
        self.episodes, self.codes, self.length, self.near = episodes, codes, length, near
        self.actions = [np.asarray(e.actions) for e in episodes]
        self.poses = [] if near is None else [np.asarray(e.pose) for e in episodes]
        room = [len(c) - length + 1 for c in codes]
        if min(room) < 1:
            shortest = min(len(c) for c in codes)
            raise ValueError(f"an episode has {shortest} frames, a training clip needs {length}: lower `frames`")
        self.ends = np.cumsum(room)
        self.rare = self._changes_of_rare_keys()
        self.rare_share = rare_share if len(self.rare) else 0.0

    def _changes_of_rare_keys(self) -> np.ndarray:
        """int64 [N, 2]: episode, and the first action after the change."""
        everything = np.concatenate(self.actions)
        binary = ((everything == 0) | (everything == 1)).all(axis=0)
        rare = binary & (everything.mean(axis=0) < self.RARE)
        changes = [np.flatnonzero(np.diff(a[:, rare], axis=0).any(axis=1)) + 1 for a in self.actions]
        return np.array([(e, t) for e, ts in enumerate(changes) for t in ts], np.int64).reshape(-1, 2)

    def sample(self, rng: np.random.Generator, n: int, part: tuple[int, int] = (0, 1)) -> tuple[torch.Tensor, ...]:
        """-> codes int64 [n, length, h, w], actions float32 [n, length - 1, A], frames uint8 [n, length, H, W, 3], and
        where there are any, `near` float32 [n, length, h, w] and poses float32 [n, length, 5].

        Or of these the i-th of k parts: `part` (i, k) draws all n and loads n / k.
        """
        which, first = located(self.ends, rng.integers(self.ends[-1], size=n))
        for i in np.flatnonzero(rng.random(n) < self.rare_share):
            which[i], at = self.rare[rng.integers(len(self.rare))]
            latest = len(self.codes[which[i]]) - self.length
            first[i] = np.clip(at - rng.integers(self.length - 1), 0, latest)
        at = list(zip(which, first, strict=True))[share(n, part)]
        codes = np.stack([self.codes[e][i : i + self.length] for e, i in at])
        acts = np.stack([self.actions[e][i : i + self.length - 1] for e, i in at])
        frames = np.stack([self.episodes[e].frames[i : i + self.length] for e, i in at])
        clips = [codes.astype(np.int64), acts, frames]
        if self.near is not None:
            clips.append(np.stack([self.near[e][i : i + self.length] for e, i in at]).astype(np.float32))
            clips.append(np.stack([self.poses[e][i : i + self.length] for e, i in at]))
        return tuple(torch.from_numpy(x) for x in clips)


def located(ends: np.ndarray, picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of things that lie in a row, episode after episode, each up to its `ends` -> the episode, and the number
    within it."""
    which = np.searchsorted(ends, picks, side="right")
    return which, picks - np.concatenate([[0], ends])[which]


def share(n: int, part: tuple[int, int]) -> slice:
    """The i-th of k equal parts of n clips; ValueError where they would not be equal."""
    i, k = part
    if n % k:
        raise ValueError(f"batch {n} in {k} parts (accumulate times processes): expected a multiple of {k}")
    return slice(i, None, k)


def tokenise(
    episodes: list[Episode], tokenizer: Tokenizer, cache: Path, at_work: Callable[[], None] = lambda: None
) -> list[np.ndarray]:
    """Codes uint16 [T, h, w] an episode; `cache` (.npy) is read if it holds them, else written. `at_work` is called
    before each episode."""

    def encoded(episode: Episode) -> np.ndarray:
        at_work()
        return tokenizer.encode(episode.frames).cpu().numpy().astype(np.uint16)

    return cached(cache, episodes, encoded)


def cached(cache: Path, episodes: list[Episode], made: Callable[[Episode], np.ndarray]) -> list[np.ndarray]:
    """What is `made` of each episode, an entry a frame; `cache` (.npy) is read if it holds them, else written."""

    def write() -> None:
        if _loaded(cache, length) is not None:
            return
        everything = np.concatenate([made(e) for e in episodes])
        cache.parent.mkdir(parents=True, exist_ok=True)
        with new_file(cache) as file:
            np.save(file, everything)

    length = sum(len(e.frames) for e in episodes)
    parallel.join()
    parallel.on_first(write)
    entries = _loaded(cache, length)
    assert entries is not None
    return np.split(entries, np.cumsum([len(e.frames) for e in episodes])[:-1])


def _loaded(cache: Path, length: int) -> np.ndarray | None:
    """Entries of `length` frames; None if the file is missing, damaged, or of other episodes."""
    try:
        entries = np.load(cache, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return entries if len(entries) == length else None


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """What a checkpoint must remember of its data."""
    m = dataset.manifest
    facts = {k: m[k] for k in ("fps", "frame_size", "action_names", "source")}
    seeds = [e["seed"] for e in m["episodes"]]
    return facts | {"keys": dict(dataset.layout.keys), "episodes": len(seeds), "seeds": [min(seeds), max(seeds)]}


def run_identity(config: Any, dataset: Dataset, **inputs: Any) -> Identity:
    """The config (less what may change on a resume), the hash of the data's episodes, and the other inputs' hashes."""
    shas = [e["sha256"] for e in dataset.manifest["episodes"]]
    data = hashlib.sha256(json.dumps(shas).encode()).hexdigest()
    return identity(config, MAY_CHANGE, data=data, **inputs)
