"""A world model as live play uses it: one step a frame, many players in one batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.walk import glance
from terrarium.worlds.blocks.world import BlockWorld, world_of
from terrarium.worlds.world_model.dynamics import Memory
from terrarium.worlds.world_model.frozen import FrozenStep
from terrarium.worlds.world_model.graphs import Graphs, capture
from terrarium.worlds.world_model.rollout import TEMPERATURE, State, burn_in, load_world_model, shipped_folder, step
from terrarium.worlds.world_model.side_by_side import SideBySide
from terrarium.worlds.world_model.starts import load_starts
from terrarium.worlds.world_model.tokenizer import to_frames


class LiveModel:
    """`step` is meant to be called from one thread."""

    temperature = TEMPERATURE  # where a player asks for none

    def __init__(self, folder: Path) -> None:
        self.dynamics, self.manifest = load_world_model(folder)
        self.tokenizer = self.dynamics.tokenizer
        self.folder = folder
        self.frozen: FrozenStep | None = None  # takes over from the eager step when somebody has compiled it
        eager = partial(step, self.dynamics)
        self._eager = Graphs(eager, capture) if self.dynamics.device.type == "cuda" else eager
        self._side_by_side = SideBySide()
        self._newest: list[tuple[State, list[Memory]]] = []  # what the last step made, and its rows' memories
        self.frame_size: tuple[int, int] = tuple(self.manifest["data"]["frame_size"])
        self.fps: float = self.manifest["data"]["fps"]
        self.layout = act.layout_of(self.manifest["data"])
        self.starts: tuple[np.ndarray, np.ndarray] | None = None  # where there is no simulator
        if self.manifest["data"]["source"]["kind"] != "blocks":
            self.starts = load_starts(folder, self.frame_size, len(self.layout.names))

    @classmethod
    def load(cls, folder: str | Path) -> LiveModel:
        """`folder` is a checkpoint's, or `shipped`. ValueError says what is wrong with it."""
        return cls(shipped_folder() if str(folder) == "shipped" else Path(folder))

    @torch.inference_mode()
    def start(self, frames: np.ndarray, actions: np.ndarray) -> State:
        """uint8 [T, H, W, 3], float32 [T-1, A] of real context -> the state of one player at the last frame."""
        return burn_in(self.dynamics, frames[None], actions[None])

    @torch.inference_mode()
    def step(
        self,
        states: list[State],
        actions: np.ndarray,
        temperature: np.ndarray,
        guidance: np.ndarray | None = None,
    ) -> np.ndarray:
        """B states (updated in place), actions [B, A], temperature [B], guidance [B] (see `rollout.step`; None is 1)
        -> the next frames uint8 [B, H, W, 3]."""
        device = self.dynamics.device
        action, heat = (torch.from_numpy(np.asarray(x, np.float32)).to(device) for x in (actions, temperature))
        guide = None if guidance is None or (guidance == 1).all() else torch.from_numpy(guidance).to(device)
        advance, size = self._advance(len(states), guide)
        pieces = [slice(i, i + size) for i in range(0, len(states), size)]
        made = self._side_by_side(advance, [(self._together(states[p]), action[p], heat[p]) for p in pieces])
        self._newest = [(after, _hand_out(after, states[p])) for after, p in zip(made, pieces, strict=True)]
        return np.concatenate([to_frames(after.picture).cpu().numpy() for after in made])

    def _advance(self, players: int, guide: torch.Tensor | None) -> tuple[Callable[..., State], int]:
        """The fastest step of so many players, and how many of them it takes at once."""
        if guide is not None:
            return partial(step, self.dynamics, guidance=guide), players
        if compiled := self.frozen.best(players, torch.get_num_threads()) if self.frozen else None:
            return compiled, compiled.players
        return self._eager, players

    def _together(self, states: list[State]) -> State:
        """As one batch: without a copy where they are the rows that the last step made, as they mostly are."""
        for newest, memories in self._newest:
            if len(states) == len(memories) and all(s.memory is m for s, m in zip(states, memories, strict=True)):
                return newest
        return State.stack(states)

    def simulator(self, source: dict[str, Any] | None = None) -> BlockWorld | None:
        """The block world that it was trained on, or that of `source`; None where it learned from another source."""
        if self.starts is not None:
            return None
        height, width = self.frame_size
        return world_of(source or self.manifest["data"]["source"], width, height)

    def context(self, world: BlockWorld | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """What the model needs to have seen before play -> frames uint8 [T, H, W, 3], actions float32 [T-1, A].

        Resets `world` to `seed` and glances right and back; `world` stays at the last frame. Without a world, one of
        the checkpoint's own starts.
        """
        if world is None:
            assert self.starts is not None
            frames, actions = self.starts
            return frames[seed % len(frames)], actions[seed % len(frames)]
        return glance(world, seed)


def _hand_out(made: State, states: list[State]) -> list[Memory]:
    """Each state becomes a row of `made` -> the rows' memories."""
    for i, state in enumerate(states):
        row = made.select(slice(i, i + 1))
        state.codes, state.picture, state.memory = row.codes, row.picture, row.memory
    return [state.memory for state in states]


def check_playable(folder: Path) -> None:
    """Loads it as a player would. ValueError says what cannot be played, and why."""
    LiveModel.load(folder).simulator()
