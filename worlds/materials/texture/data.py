"""Batches and held-out samples of a phase; a batch is a function of its step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from terrarium.worlds.materials.maps import SYMMETRIES
from terrarium.worlds.materials.splits import split
from terrarium.worlds.materials.texture.augment import crop_side, jittered, photometric
from terrarium.worlds.materials.texture.model import CELL
from terrarium.worlds.materials.texture.phases import Phase
from terrarium.worlds.materials.texture.sample import DIFFUSE, cropped, joined, scaled
from terrarium.worlds.materials.texture.sampler import sample_weights
from terrarium.worlds.materials.texture.sunlit import sunlit
from terrarium.worlds.materials.texture.textures import Textures, open_textures, rng_of


@dataclass(frozen=True, eq=False)
class Domain:
    """`learned` and `held_out` are names of its textures; `share` that of the samples it makes."""

    textures: Textures
    share: float
    learned: Sequence[str]
    held_out: Sequence[str]


@dataclass(frozen=True, eq=False)
class Source:
    """`domains`: clean, and game where the phase has both."""

    phase: Phase
    domains: dict[str, Domain]
    classes: Sequence[str]
    side: int
    epochs: int

    @cached_property
    def entries(self) -> list[tuple[str, str]]:
        """(domain, name)"""
        return [(domain, name) for domain, d in self.domains.items() for name in d.learned]

    @cached_property
    def weights(self) -> np.ndarray:
        """Probabilities of the entries."""
        domains = self.domains.values()
        flags = [(d.share, [d.textures.synthetic(name) for name in d.learned]) for d in domains]
        return sample_weights(flags, self.phase.synthetic)

    def draw(self, rng: np.random.Generator, batch: int, epoch: int) -> Tensor:
        """[batch, 14, side, side], of the crops of this epoch, which counts from 1."""
        first, last = (round(share * self.side) for share in self.phase.crop)
        side = crop_side(epoch, self.epochs, first, last, CELL)
        return torch.stack([self._one(rng, side) for _ in range(batch)])

    def _one(self, rng: np.random.Generator, side: int) -> Tensor:
        two, four = self.phase.composites
        dice = rng.random()
        count = 4 if dice < four else 2 if dice < four + two else 1
        parts = [self._part(rng, side) for _ in range(count)]
        x = parts[0] if count == 1 else joined(parts)
        return jittered(x, rng, self.phase.jitter) if self.phase.jitter else x

    def _part(self, rng: np.random.Generator, side: int) -> Tensor:
        domain, name = self.entries[int(rng.choice(len(self.entries), p=self.weights))]
        x = self.read(domain, name)
        rows, columns = x.shape[-2:]
        if min(rows, columns) < side:
            raise ValueError(f"{name} has {columns} x {rows} pixels, expected {side} or more along each side")
        top, left = int(rng.integers(rows - side + 1)), int(rng.integers(columns - side + 1))
        x = cropped(x, top, left, side)
        if self.phase.turned:
            x = SYMMETRIES[int(rng.integers(len(SYMMETRIES)))](x)
        if self.phase.sunlit:
            return sunlit(x, rng)
        probability, strength = self.phase.photometric
        if domain == "game" and rng.random() < probability:
            x = x.clone()
            x[DIFFUSE] = photometric(x[DIFFUSE], rng, strength)
        return x

    def read(self, domain: str, name: str) -> Tensor:
        return scaled(self.domains[domain].textures.read(name, self.classes), self.side)

    def held_out(self, domain: str, most: int) -> Iterator[Tensor]:
        """At most `most` samples [14, H, W], sides cut to multiples of the networks' cell."""
        for name in self.domains[domain].held_out[:most]:
            x = self.read(domain, name)
            x = x[..., : x.shape[-2] // CELL * CELL, : x.shape[-1] // CELL * CELL]
            yield sunlit(x, rng_of(name)) if self.phase.sunlit else x


def open_domains(phase: Phase, clean: str, game: str | None, share: float, seed: int) -> dict[str, Domain]:
    """ValueError where a folder holds no textures, or too few to hold some out."""
    shares = {"clean": 1 - phase.game, "game": phase.game}
    folders = {"clean": clean} | ({"game": game} if game is not None and phase.game else {})
    found = {}
    for name, folder in folders.items():
        textures = open_textures(Path(folder))
        try:
            learned, held_out = split(textures.names, share, seed)
        except ValueError as e:
            raise ValueError(f"{folder}: {e}") from None
        found[name] = Domain(textures, shares[name], learned, held_out)
    return found
