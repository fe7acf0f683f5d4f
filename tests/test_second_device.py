"""The second device itself: it computes as the CPU does, and refuses what CUDA refuses."""

import copy

import numpy as np
import pytest
import torch
from second_device import SECOND
from torch import nn

from terrarium.kernels.soft_embed.fused import soft_embed
from terrarium.worlds.pictures.perceptual import LPIPS


def here(*shape):
    return torch.rand(*shape, device=SECOND)


FAULTS = {
    "a tensor of the CPU": lambda x: x + torch.ones(3),
    "torch.rand without a device": lambda x: x < torch.rand(3),
    "a mask of the CPU": lambda x: x.masked_fill(torch.ones(3, dtype=torch.bool), 0.0),
    "torch.where by a mask of the CPU": lambda x: torch.where(torch.ones(3, dtype=torch.bool), x, x),
    "an index on the CPU": lambda x: x[torch.tensor([0, 2])],
    "written at an index on the CPU": lambda x: x.index_copy_(0, torch.tensor([0]), x[:1]),
    "a CPU scalar that is written": lambda x: torch.tensor(1.0).add_(x.sum()),
    "a CPU scalar among others": lambda x: torch.stack([x.sum(), torch.tensor(1.0)]),
    "a module that was not moved": lambda x: nn.Linear(3, 2)(x),
    "a batch that was not moved": lambda x: nn.Linear(3, 2).to(SECOND)(torch.rand(1, 3)),
    "joined with a tensor of the CPU": lambda x: torch.cat([x, torch.zeros(1)]),
    "a generator of the CPU": lambda x: torch.rand(3, device=SECOND, generator=torch.Generator()),
    "out on the CPU": lambda x: torch.add(x, x, out=torch.empty(3)),
    "a sum out on the CPU": lambda x: torch.add(x.sum(), x.sum(), out=torch.empty(())),
    "numpy without cpu()": lambda x: x.numpy(),
    "np.asarray without cpu()": lambda x: np.asarray(x),
    "a seed of the CPU": lambda x: soft_embed(here(2, 3), here(3, 4), torch.randint(2**31, ())),
    "LPIPS that was not moved": lambda x: LPIPS("random")(here(1, 3, 8, 8), here(1, 3, 8, 8)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    with pytest.raises((RuntimeError, TypeError, ValueError), match=r"device|to numpy"):
        FAULTS[fault](here(3))


def test_what_cuda_allows_is_allowed():
    x = torch.arange(3.0, device=SECOND)
    assert (x + torch.tensor(1.0)).device == (2 * x).device == SECOND
    assert x[[0, 2]].tolist() == [0, 2] and x[x > 0].tolist() == [1, 2] and x.sum().item() == 3 and bool(x[1])
    assert torch.zeros(3).copy_(x).equal(x.cpu()) and x.cpu().numpy().tolist() == [0, 1, 2]
    x[1] = 5.0
    x.view(3, 1).mul_(2)
    assert x.tolist() == [0, 10, 4]
    assert torch.tensor([1, 2], device=SECOND).device == torch.as_tensor(1.5, device=SECOND).device == SECOND


def test_training_is_the_cpus():
    """The same weights after two steps: forward, backward in its own thread, AdamW, clipping, a copy, autocast off."""

    def trained(device):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(64, 1)).to(device)
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=False):
                model(torch.rand(2, 3, 4, 4, device=device)).square().sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        clone = copy.deepcopy(model)
        clone.load_state_dict(model.state_dict())
        return clone.cpu().state_dict()

    second, cpu = trained(SECOND), trained(torch.device("cpu"))
    torch.testing.assert_close(second, cpu)
