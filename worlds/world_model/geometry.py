"""Depth and pose of the simulator, and the flow that follows from them: how the picture of a camera that moves through
a world at rest does move (Hartley and Zisserman, Multiple View Geometry, 2nd ed., 6.1).

The simulator knows how far away each pixel is, so an episode's depths are made of its seed and poses, not stored with
it. Every EACH-th pixel of every EACH-th row stands for its neighbours.

N frames, H x W a frame's pixels, h x w those kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from terrarium.worlds.blocks.world import world_of
from terrarium.worlds.episodes.format import Dataset, Episode
from terrarium.worlds.precision import wide
from terrarium.worlds.world_model.conv_gru import Context
from terrarium.worlds.world_model.data import cached
from terrarium.worlds.world_model.fits import DOWN
from terrarium.worlds.world_model.views import EDGE, Camera, basis, grid

EACH = 2
FAR = -2.0  # softplus of it is .13: eight blocks away


def nearness(dataset: Dataset, split: str, cache: Path, at_work: Callable[[], None] = lambda: None) -> list[np.ndarray]:
    """One over the depth along the camera's axis, in 1 / blocks and 0 in the sky, float16 [T, h, w] an episode; `cache`
    (.npy) is read if it holds them, else written. `at_work` is called before each episode. ValueError for an episode
    without poses."""
    height, width = dataset.frame_size
    world = world_of(dataset.manifest["source"], width, height)

    def seen(episode: Episode) -> np.ndarray:
        at_work()
        if episode.pose is None:
            raise ValueError(f"episode {episode.id} has no poses: expected one of the block world's own recordings")
        labels = (world.labels(episode.seed, pose) for pose in episode.pose)
        return np.stack([1 / each.depth[::EACH, ::EACH] for each in labels]).astype(np.float16)

    return cached(cache, dataset.split(split), seen)


def camera_flow(
    camera: Camera, near: torch.Tensor, before: torch.Tensor, after: torch.Tensor, each: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """From each pixel of a frame back into the frame before, in pixels, [N, 2, h, w]; bool [N, 1, h, w] where that was
    ahead of the camera.

    near [N, h, w], one over the depth of each pixel of the frame, or of the first of `each` x `each`; poses [N, 5] of
    the frame before and of this one: the eye's x, y, z in blocks, yaw and pitch in degrees.
    """
    near, before, after = wide(near), wide(before), wide(after)
    height, width = (each * n for n in near.shape[1:])
    here = grid((height, width), near.device)[::each, ::each]
    tan = math.tan(math.radians(camera.fovy) / 2)
    scale = constants(here, tan * width / height, -tan)
    rays = torch.cat([here * scale, torch.ones_like(here[..., :1])], dim=-1)  # [h, w, 3], one block ahead
    then, now = (basis(torch.deg2rad(pose[:, 3:])) for pose in (before, after))
    there = (rays.flatten(0, 1) @ now).unflatten(1, near.shape[1:])
    there = there + near.unsqueeze(-1) * (after - before)[:, None, None, :3]
    seen = (there.flatten(1, 2) @ then.transpose(1, 2)).unflatten(1, near.shape[1:])
    at = seen[..., :2] / (seen[..., 2:].clamp(min=EDGE) * scale)
    flow = (at - here) * constants(here, width / 2, height / 2)
    return flow.movedim(-1, 1), (seen[..., 2] > EDGE).unsqueeze(1)


def in_view(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Poses [N, 5] -> the step between them in blocks [N, 3]: to the right, up, and back, whatever the pitch."""
    level = torch.stack([before[:, 3], torch.zeros_like(before[:, 3])], dim=1)
    ahead = basis(torch.deg2rad(level)) @ (after - before)[:, :3, None]
    return ahead[..., 0] * ahead.new_tensor([1.0, 1.0, -1.0])


def constants(like: torch.Tensor, *values: float) -> torch.Tensor:
    """[N], filled in on the device of `like`: a copy from the host would end the capture of a CUDA graph."""
    return torch.stack([like.new_full((), value) for value in values])


class MovingCamera(nn.Module):
    """The flow of a camera that moves: depths and the step from the state, the turn from the action."""

    def __init__(self, camera: Camera, channels: int, embed: int, hidden: int = 32) -> None:
        super().__init__()
        self.camera = camera
        self.context = Context(channels)
        self.look = nn.Conv2d(channels, hidden, 3, padding=1)
        self.near = nn.Conv2d(hidden, 4, 3, padding=1)
        self.step = nn.Sequential(nn.Linear(channels + embed, 64), nn.SiLU(), nn.Linear(64, 4))
        assert self.near.bias is not None
        nn.init.constant_(self.near.bias, FAR)

    def forward(self, state: torch.Tensor, embedded: torch.Tensor, action: torch.Tensor) -> Seen:
        """state [N, C, h, w] aligned with the frame to come, the action's embedding [N, E] and the action [N, A]."""
        near = F.pixel_shuffle(self.near(F.silu(self.look(self.context(state)))), 2)
        near = F.interpolate(F.softplus(wide(near)), scale_factor=DOWN // 2, mode="bilinear")[:, 0]
        step, pitch = wide(self.step(torch.cat([state.mean(dim=(2, 3)), embedded], dim=1))).split((3, 1), dim=1)
        pitch = self.camera.most_pitch * torch.tanh(pitch)
        turned = wide(action[:, :2]) * constants(pitch, self.camera.yaw, self.camera.pitch)
        start = torch.cat([torch.zeros_like(step), torch.zeros_like(pitch), pitch], dim=1)
        end = torch.cat([step, turned[:, :1], pitch + turned[:, 1:]], dim=1)
        return Seen(camera_flow(self.camera, near, start, end)[0], near, step, pitch[:, 0])


@dataclass
class Seen:
    """What a `MovingCamera` takes the frame to come for."""

    flow: torch.Tensor  # [N, 2, H, W] in pixels
    near: torch.Tensor  # [N, H, W]
    step: torch.Tensor  # [N, 3], as `in_view`
    pitch: torch.Tensor  # [N] in degrees, of the frame before
