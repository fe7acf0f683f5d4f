"""Where models are trained, evaluated and played: one choice for a process, made here alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def default_device() -> torch.device:
    """TERRARIUM_DEVICE (such as `cpu` or `cuda:1`); if that is not set, a CUDA device where there is one, else the CPU.

    Of several CUDA devices each process of torchrun takes its own. ValueError for a name that torch does not know.
    """
    name = os.environ.get("TERRARIUM_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise ValueError(f"TERRARIUM_DEVICE is {name!r}: expected a device such as cpu, cuda or cuda:1 ({e})") from None
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return device


@contextmanager
def fork_random() -> Iterator[None]:
    """Leaves torch's generators, the CPU's and the device's, as they were; also a decorator."""
    device = default_device()
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        yield


def synchronize() -> None:
    """Waits until the device has done what it was given, for a clock to be read."""
    if default_device().type == "cuda":
        torch.cuda.synchronize()
