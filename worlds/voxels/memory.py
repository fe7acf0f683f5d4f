"""What a run takes, so that one that cannot end is refused before it begins."""

from __future__ import annotations

from math import prod
from pathlib import Path

import torch

from terrarium.worlds.device import default_device
from terrarium.worlds.voxels.grid import MATERIALS, Shape
from terrarium.worlds.voxels.render import default_backend

LOGITS = 1 + len(MATERIALS)
COLOURS = 6 * 3
# Floats a voxel at the peak, which is a backward: logits with gradient, two moments of Adam, a copy to be looked at and
# the best; probabilities and their gradients; colours, their gradient, and that of each thread, see cpu.py.
KEPT = 6 * LOGITS + 4 * LOGITS + 2 * COLOURS
CROSSING = 160  # bytes that a voxel on a ray takes until the backward, where those are listed as tensors


def needed_bytes(shape: Shape, image: int) -> int:
    """Of a run on a grid of `shape`, with pictures of `image` x `image` pixels."""
    threads = torch.get_num_threads()
    return 4 * prod(shape) * (KEPT + threads * (1 + COLOURS)) + 4 * 40 * image * image


def check_memory(shape: Shape, image: int) -> None:
    """ValueError where a grid of `shape` takes more than is free."""
    device = default_device()
    free, needed = free_bytes(device), needed_bytes(shape, image)
    if default_backend(device) == "nvdiffrast":
        needed += CROSSING * sum(shape) * image * image
    if needed > free:
        x, y, z = shape
        raise ValueError(
            f"size {x} x {y} x {z}: takes about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free: "
            "expected a smaller world"
        )


def free_bytes(device: torch.device) -> int:
    """Memory that a process may still take on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024
