"""Triton launches on the current CUDA device: every operator makes that of its tensors current."""

from contextlib import contextmanager

import pytest
import torch
from triton.runtime import interpreter

from terrarium.kernels import (
    conv_gru_gates,
    draw_codes,
    lpips_head,
    op,
    reset_gates,
    soft_embed,
    ssim,
    update_gate,
    vector_quantize,
)


def cells(channels):
    return torch.randn(1, channels, 2, 3, requires_grad=True)


def rows(n):
    return torch.randn(n, 4, requires_grad=True)


NO_CODES = torch.zeros(1, 2, 3, dtype=torch.int64)
CALLS = {
    "conv_gru_gates": lambda: conv_gru_gates(cells(12), cells(12), cells(4)),
    "reset_gates": lambda: reset_gates(cells(8), cells(8), cells(4))[0],
    "update_gate": lambda: update_gate(cells(4), cells(4), cells(4), cells(4)),
    "draw_codes": lambda: draw_codes(
        torch.randn(1, 4, 2, 3), torch.rand(1, 4, 2, 3), torch.ones(1), NO_CODES, NO_CODES.bool(), (4,)
    )[1],
    "lpips_head": lambda: lpips_head(cells(4), cells(4), torch.rand(4)),
    "soft_embed": lambda: soft_embed(torch.randn(3, 5, requires_grad=True), rows(5), torch.tensor(7)),
    "ssim": lambda: ssim(*(torch.rand(1, 1, 11, 12, requires_grad=True) for _ in range(2)), 1.0),
    "vq": lambda: vector_quantize(torch.randn(3, 4), rows(5))[1],
}


@pytest.mark.parametrize("name", CALLS)
def test_programs_start_on_the_device_of_their_tensors(name, monkeypatch):
    current, launched, start = [None], [], interpreter.GridExecutor.__call__

    @contextmanager
    def on_device_of(x):
        current.append(x.device)
        yield
        current.pop()

    def launch(self, *args, **kwargs):
        launched.append(current[-1])
        return start(self, *args, **kwargs)

    monkeypatch.setattr(op, "on_device_of", on_device_of)
    monkeypatch.setattr(interpreter.GridExecutor, "__call__", launch)
    found = CALLS[name]()
    if found.requires_grad:
        found.sum().backward()
    assert launched and set(launched) == {torch.device("cpu")}
