"""Episodes to training batches: random frames for the tokenizer, random clips of tokens for the dynamics."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worlds.world_model.actions import JUMP
from worlds.world_model.episodes import Dataset, Episode
from worlds.world_model.tokenizer import Tokenizer


class FrameStore:
    """Uniform frames out of memory-mapped episodes."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.episodes = episodes
        self.ends = np.cumsum([len(e.frames) for e in episodes])

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """-> uint8 [n, H, W, 3]."""
        picks = np.sort(rng.integers(self.ends[-1], size=n))
        which = np.searchsorted(self.ends, picks, side="right")
        starts = self.ends - [len(e.frames) for e in self.episodes]
        return np.stack([self.episodes[e].frames[i - starts[e]] for e, i in zip(which, picks, strict=True)])


class ClipStore:
    """Clips of `length` frames, as codes and actions, held in memory (2 bytes a code).

    `jump_share` of them hold the start of a jump: in a walk it is rare, and unlike every other frame of the jump.
    """

    def __init__(
        self, codes: list[np.ndarray], actions: list[np.ndarray], length: int, jump_share: float = 0.0
    ) -> None:
        self.codes, self.actions, self.length = codes, actions, length
        room = [len(c) - length + 1 for c in codes]
        if min(room) < 1:
            shortest = min(len(c) for c in codes)
            raise ValueError(f"an episode has {shortest} frames, a training clip needs {length}: lower `frames`")
        self.ends = np.cumsum(room)
        starts = [np.flatnonzero(np.diff(a[:, JUMP]) > 0) + 1 for a in actions]
        self.jumps = np.array([(e, t) for e, ts in enumerate(starts) for t in ts], np.int64).reshape(-1, 2)
        self.jump_share = jump_share if len(self.jumps) else 0.0

    def sample(self, rng: np.random.Generator, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """-> codes int64 [n, length, h, w], actions float32 [n, length - 1, A]."""
        picks = rng.integers(self.ends[-1], size=n)
        which = np.searchsorted(self.ends, picks, side="right")
        first = picks - np.concatenate([[0], self.ends])[which]
        for i in np.flatnonzero(rng.random(n) < self.jump_share):
            which[i], at = self.jumps[rng.integers(len(self.jumps))]
            latest = len(self.codes[which[i]]) - self.length
            first[i] = np.clip(at - rng.integers(self.length - 1), 0, latest)
        codes = np.stack([self.codes[e][i : i + self.length] for e, i in zip(which, first, strict=True)])
        acts = np.stack([self.actions[e][i : i + self.length - 1] for e, i in zip(which, first, strict=True)])
        return torch.from_numpy(codes.astype(np.int64)), torch.from_numpy(acts)


def tokenise(episodes: list[Episode], tokenizer: Tokenizer, cache: Path) -> list[np.ndarray]:
    """Codes uint16 [T, h, w] an episode; `cache` (.npy) is read where it is complete, else written."""
    lengths = [len(e.frames) for e in episodes]
    if cache.is_file():
        codes = np.load(cache)
    else:
        codes = np.concatenate([tokenizer.encode(e.frames).numpy().astype(np.uint16) for e in episodes])
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(".partial.npy")
        np.save(partial, codes)
        partial.rename(cache)
    return np.split(codes, np.cumsum(lengths)[:-1])


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """What a checkpoint must remember of its data."""
    m = dataset.manifest
    facts = {k: m[k] for k in ("fps", "frame_size", "action_names", "source")}
    seeds = [e["seed"] for e in m["episodes"]]
    return facts | {"episodes": len(seeds), "seeds": [min(seeds), max(seeds)]}


def resume_key(config: Any, dataset: Dataset, *inputs: str) -> str:
    """A hash of the config (less what may change on resume), of the data's hashes and of other inputs' hashes."""
    fixed = asdict(config)
    for name in ("data", "tokenizer", "checkpoint_every_s", "log_every", "steps", "compile"):
        fixed.pop(name, None)
    shas = [e["sha256"] for e in dataset.manifest["episodes"]]
    return hashlib.sha256(json.dumps([fixed, shas, inputs], sort_keys=True).encode()).hexdigest()
