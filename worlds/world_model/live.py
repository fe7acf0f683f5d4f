"""A world model as live play uses it: one step a frame, many players in one batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from worlds.blocks.world import BlockWorld
from worlds.world_model import actions as act
from worlds.world_model.dynamics import DECODE_TRUST, Hidden
from worlds.world_model.evaluate import simulator
from worlds.world_model.rollout import burn_in, load_world_model, shipped_folder
from worlds.world_model.starts import load_starts
from worlds.world_model.tokenizer import to_frames


@dataclass
class PlayState:
    codes: torch.Tensor  # int64 [1, h, w], the frame on show
    hidden: Hidden  # batch 1
    picture: torch.Tensor  # [1, 3, H, W], the decoded codes


class LiveModel:
    """`step` is meant to be called from one thread."""

    temperature = 0.3  # where a player asks for none: greedy codes blur and stick, sampling at 1 flickers

    def __init__(self, folder: Path) -> None:
        self.dynamics, self.manifest = load_world_model(folder)
        self.tokenizer = self.dynamics.tokenizer
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
    def start(self, frames: np.ndarray, actions: np.ndarray) -> PlayState:
        """uint8 [T, H, W, 3], float32 [T-1, A] of real context -> the state of one player at the last frame."""
        codes = self.tokenizer.encode(frames).unsqueeze(0)
        hidden = burn_in(self.dynamics, codes, torch.from_numpy(actions).unsqueeze(0))
        return PlayState(codes[:, -1], hidden, self.dynamics.decode(codes[:, -1]))

    @torch.inference_mode()
    def step(self, states: list[PlayState], actions: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """B states (updated in place), actions [B, A], temperature [B] -> the next frames uint8 [B, H, W, 3]."""
        hidden = Hidden.stack([s.hidden for s in states])
        codes = torch.cat([s.codes for s in states])
        shown = torch.cat([s.picture for s in states])
        action = torch.from_numpy(np.asarray(actions, np.float32)).unsqueeze(1)
        logits, hidden, _ = self.dynamics(codes.unsqueeze(1), action, hidden, trust=DECODE_TRUST, picture=shown)
        codes = self.dynamics.sample(logits[:, 0], torch.from_numpy(np.asarray(temperature, np.float32)))
        pictures = self.dynamics.decode(codes)
        for i, state in enumerate(states):
            state.codes, state.picture = codes[i : i + 1], pictures[i : i + 1]
            state.hidden = hidden.select(slice(i, i + 1))
        return to_frames(pictures).numpy()

    def simulator(self) -> BlockWorld | None:
        """The block world that it was trained on; None where it learned from another source."""
        return simulator(self.manifest) if self.starts is None else None

    def context(self, world: BlockWorld | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """What the model needs to have seen before play -> frames uint8 [T, H, W, 3], actions float32 [T-1, A].

        Resets `world` to `seed` and glances right and back; `world` stays at the last frame. Without a world, one of
        the checkpoint's own starts.
        """
        if world is None:
            assert self.starts is not None
            frames, actions = self.starts
            return frames[seed % len(frames)], actions[seed % len(frames)]
        glance = [act.action(yaw=0.5)] * 2 + [act.action(yaw=-0.5)] * 2 + [act.action()] * 3
        seen = [world.reset(seed)] + [world.step(a) for a in glance]
        return np.stack(seen), np.stack(glance)
