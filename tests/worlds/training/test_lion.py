"""Lion, beside steps that were worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from terrarium.worlds.training.lion import Lion


def test_two_steps_worked_by_hand() -> None:
    """lr .1, betas .9 and .99, decay .5.

    Step 1, g = (2, -4): m = 0, so c = .1 g, its sign (1, -1); w = (1, 2) - .1 ((1, -1) + .5 (1, 2)) = (.85, 2);
    m = .01 g = (.02, -.04).
    Step 2, g = (-.1, 5): c = .9 m + .1 g = (.008, .464), signs (1, 1); w = (.85, 2) - .1 ((1, 1) + .5 (.85, 2))
    = (.7075, 1.8); m = .99 m + .01 g = (.0188, .0104).
    """
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    lion = Lion([w], lr=0.1, weight_decay=0.5)
    w.grad = torch.tensor([2.0, -4.0])
    lion.step()
    torch.testing.assert_close(w.data, torch.tensor([0.85, 2.0]))
    w.grad = torch.tensor([-0.1, 5.0])
    lion.step()
    torch.testing.assert_close(w.data, torch.tensor([0.7075, 1.8]))
    torch.testing.assert_close(lion.state[w]["momentum"], torch.tensor([0.0188, 0.0104]))


def test_a_weight_without_a_gradient_stays_and_a_state_comes_back() -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    lion = Lion([a, b], lr=0.1, weight_decay=0.5)
    a.grad = torch.ones(2)
    lion.step()
    assert torch.equal(b.data, torch.ones(2)) and len(lion.state) == 1
    again = Lion([a, b], lr=0.1)
    again.load_state_dict(lion.state_dict())
    assert torch.equal(again.state[a]["momentum"], lion.state[a]["momentum"])


@pytest.mark.parametrize("given", [{"lr": -1.0}, {"betas": (0.9, 1.0)}, {"weight_decay": -0.1}])
def test_numbers_out_of_range_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected none below 0"):
        Lion([nn.Parameter(torch.ones(1))], **given)  # type: ignore[arg-type]
