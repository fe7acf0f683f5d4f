"""Several processes on one batch, as torchrun starts them:

    torchrun --nproc-per-node 2 --local-ranks-filter 0 -m terrarium.cli.main train world-model --data data/mixed

Every process computes its part of each batch and DistributedDataParallel averages the gradients. The first process
alone writes: states, previews, outputs. All of them read the states, so `--out` lies on a disk that they share.
A worker starts a job of several processes in the same way (workers/runner.py). A process that torchrun did not start
is alone, and all of this does nothing.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from terrarium.worlds.device import default_device

T = TypeVar("T")
PATIENCE = timedelta(hours=2)  # the others wait while the first one tokenises a dataset


def join() -> None:
    """Joins the processes that torchrun started; once is enough. gloo for CPU tensors, NCCL for CUDA's.

    At its end each process leaves: gloo's threads, if they outlive the interpreter, abort it (PyTorch issue 190489).
    """
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        return
    # Imported later, its functions' default arguments hold the group for ever, and with it gloo's threads.
    import torch.distributed.nn

    if (device := default_device()).type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=PATIENCE)
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def on_first(work: Callable[[], object]) -> None:
    """`work` in the first process; the others wait until it is done."""
    if rank() == 0:
        work()
    _sum(torch.zeros(1))


def from_first(measure: Callable[[], T]) -> T:
    """What the first process measured or read, in all of them; the others wait."""
    if world_size() == 1:
        return measure()
    found = [measure() if rank() == 0 else None]
    dist.broadcast_object_list(found, device=torch.device("cpu"))
    assert found[0] is not None
    return found[0]


def lost_another(e: BaseException) -> bool:
    """Whether an error only says that another process has gone."""
    return isinstance(e, dist.DistError) or "gloo" in str(e)


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process; all get the same answer."""
    return flag if world_size() == 1 else bool(_sum(torch.tensor([float(flag)])).item())


def mean(values: torch.Tensor) -> torch.Tensor:
    """float [N] -> its mean over the processes, on the CPU."""
    return _sum(values.cpu()) / world_size()


def _sum(values: torch.Tensor) -> torch.Tensor:
    if world_size() > 1:
        dist.all_reduce(values)
    return values
