"""A world model as live play uses it: one step a frame, many players in one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.blocks.walk import glance
from terrarium.worlds.blocks.world import BlockWorld, world_of
from terrarium.worlds.world_model.dynamics import Memory
from terrarium.worlds.world_model.frozen import FrozenStep
from terrarium.worlds.world_model.rollout import TEMPERATURE, State, burn_in, load_world_model, shipped_folder, step
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
        self._newest: tuple[State, list[Memory]] | None = None  # what the last step made, and its rows' memories
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
        state = self._together(states)
        compiled = self.frozen.best(len(states)) if self.frozen and guide is None else None
        if compiled:
            after = compiled(state, action, heat)
        else:
            after = step(self.dynamics, state, action, heat, guide)
        for i, state in enumerate(states):
            row = after.select(slice(i, i + 1))
            state.codes, state.picture, state.memory = row.codes, row.picture, row.memory
        self._newest = after, [state.memory for state in states]
        return to_frames(after.picture).cpu().numpy()

    def _together(self, states: list[State]) -> State:
        """As one batch: without a copy where they are the rows that the last step made, as they mostly are."""
        if self._newest:
            newest, memories = self._newest
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


def check_playable(folder: Path) -> None:
    """Loads it as a player would. ValueError says what cannot be played, and why."""
    LiveModel.load(folder).simulator()
