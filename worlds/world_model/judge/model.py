"""The judge: an inverse-dynamics model. Which keys were held between two frames?

It was trained on the simulator alone and is frozen, so it says how far a world model's frames can be read as the
answer to the keys that were held, long after the two walks have parted and pixels cannot be compared any more.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from terrarium.worlds.blocks import actions as act
from terrarium.worlds.checkpoint import load_checkpoint, load_into
from terrarium.worlds.device import default_device
from terrarium.worlds.precision import in_full
from terrarium.worlds.world_model.tokenizer import channels_last

KEYS = act.PROBES[1:]  # all but noop, which is none of them
FRAMES = 3  # of a reading: the action leads from the second to the third, the first tells a rise from a fall
FEATURES = 64


class Judge(nn.Module):
    """Frames [N, 3, 3, H, W] in [0, 1], H and W multiples of 16 -> logits of `KEYS` [N, 9], features [N, FEATURES]."""

    def __init__(self, frame_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = frame_size
        self.frame_size = frame_size
        self.convs = nn.Sequential(
            nn.Conv2d(3 * FRAMES, 32, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1),
            nn.GroupNorm(8, 48),
            nn.SiLU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1),
            nn.GroupNorm(8, 64),
            nn.SiLU(),
            nn.Conv2d(64, 48, 3, stride=2, padding=1),
            nn.SiLU(),
        )
        # A dense layer over places: W is a zoom, which only the whole of the picture tells from a shift.
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(48 * height // 16 * width // 16, FEATURES), nn.SiLU())
        self.keys = nn.Linear(FEATURES, len(KEYS))

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = (frames - 0.5).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        features = self.features(self.convs(x))
        return self.keys(features), features

    @torch.inference_mode()
    def read(self, frames: np.ndarray, batch: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [B, T + 2, H, W, 3] -> probabilities [B, T, 9] of the actions after the second frame, features."""
        device = self.keys.weight.device
        b, t = frames.shape[0], frames.shape[1] - FRAMES + 1
        at = [(i, k) for i in range(b) for k in range(t)]
        out = []
        for first in range(0, len(at), batch):
            clips = np.stack([frames[i, k : k + FRAMES] for i, k in at[first : first + batch]])
            x = to_clips(torch.from_numpy(clips).to(device))
            with in_full(x):  # what measures is not rounded with what is measured
                logits, features = self(x)
            out.append((torch.sigmoid(logits), features))
        probabilities, features = (torch.cat(x).unflatten(0, (b, t)).cpu().numpy() for x in zip(*out, strict=True))
        return probabilities, features


def to_clips(frames: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, H, W, 3] -> float [N, 3, 3, H, W] in [0, 1]."""
    return frames.movedim(-1, 2).float() / 255


def labels(actions: np.ndarray) -> np.ndarray:
    """Actions [..., A] -> bool [..., 9]: which of `KEYS` were held."""
    held = [actions[..., act.ACTION_NAMES.index(k)] > 0.5 for k in KEYS if k in act.KEYS]
    turns = [sign * actions[..., axis] > 0 for axis in (act.YAW, act.PITCH) for sign in (1, -1)]
    return np.stack(held + turns, axis=-1)


def f1(said: np.ndarray, held: np.ndarray) -> np.ndarray:
    """bool [N, K] each -> F1 a column, float [K]; 0 where nothing was said or held."""
    hits = (said & held).sum(axis=0)
    return 2 * hits / np.maximum(said.sum(axis=0) + held.sum(axis=0), 1)


def shipped_judge() -> Path:
    """The weights that come with the project."""
    return Path(str(files("terrarium.worlds.world_model") / "judge" / "weights"))


def load_judge(folder: Path) -> tuple[Judge, dict[str, Any]]:
    """-> judge in eval mode on the default device, manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, "judge")
    judge = channels_last(Judge(tuple(manifest["data"]["frame_size"])))
    load_into(judge, tensors, folder)
    return judge.to(default_device()).eval(), manifest


def soften(clips: torch.Tensor) -> torch.Tensor:
    """Clips [N, 3, 3, H, W] in [0, 1] as a model or a tokenizer may render them: light, blur, noise fine and in cells.

    The judge is to read motion. Without this it learns the simulator's exact pixels, and reads nothing else.
    """
    n, t, c, h, w = clips.shape

    def each(frames: int, top: float) -> torch.Tensor:
        return top * torch.rand(n, frames, 1, 1, 1, device=clips.device)

    light, shade = 1 + each(1, 0.3) - 0.15, each(1, 0.2) - 0.1
    blurred = F.avg_pool2d(clips.flatten(0, 1), 3, stride=1, padding=1, count_include_pad=False).view_as(clips)
    x = torch.lerp(clips, blurred, (each(t, 1.5) - 0.5).clamp(min=0).expand_as(clips))
    cells = torch.randn(n * t, c, h // 4, w // 4, device=clips.device)
    x = x + each(t, 0.06) * F.interpolate(cells, scale_factor=4).view_as(x)
    return (x * light + shade + each(t, 0.04) * torch.randn_like(x)).clamp(0, 1)


MIRROR = [KEYS.index(k) for k in ("w", "s", "d", "a", "jump", "yaw-", "yaw+", "pitch+", "pitch-")]


def mirror(clips: torch.Tensor, held: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Left and right exchanged in the clips [N, ...] and keys [N, 9] where `which` [N] is true."""
    flipped = torch.where(which.view(-1, 1, 1, 1, 1), clips.flip(-1), clips)
    return flipped, torch.where(which.unsqueeze(1), held[:, MIRROR], held)
