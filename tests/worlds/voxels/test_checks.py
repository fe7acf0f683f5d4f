"""Every check of the renderer holds, and a wrong renderer fails them."""

import pytest
import torch

from terrarium.worlds.voxels import checks, reference, render


@pytest.mark.parametrize("group", checks.CHECKS, ids=lambda group: group.__name__)
def test_a_check_holds(group):
    made = list(group())
    assert {check.backend for check in made} == set(checks.FAST if group is checks.across else checks.HERE)
    assert [check for check in made if not check.holds] == []


def by_length(alpha, face_colour, camera):
    """What a volume renderer of densities would draw: less opacity where the ray clips a corner."""
    return reference.march(alpha**1.5, face_colour, camera)


@pytest.mark.parametrize("group", [checks.enumeration, checks.across, checks.along_axes], ids=lambda g: g.__name__)
def test_a_wrong_renderer_is_found(group, monkeypatch):
    monkeypatch.setitem(render.BACKENDS, "cpu", by_length)
    assert not all(check.holds for check in group() if check.backend == "cpu")


def test_not_a_number_does_not_hold():
    assert not checks.Check("a", "cpu", float("nan"), 1.0).holds


def test_gradients_of_opaque_voxels_are_what_stands_behind_them():
    """At alpha = 1 the derivative by it is the colour in front less that behind; nothing divides by 1 - alpha."""
    alpha = torch.tensor([1.0, 1.0, 0.5]).view(1, 1, 3).requires_grad_()
    colour = torch.zeros(1, 1, 3, 6, 3)
    colour[0, 0, :, :, 0] = torch.tensor([0.2, 0.7, 0.9])[:, None]
    camera = checks.look_at((0.5, 0.5, -4.0), (0.5, 0.5, 0.0), 1, 1)
    for backend in checks.HERE:
        red = checks.draw(alpha, colour, camera, backend=backend).rgb[0, 0, 0]
        (grad,) = torch.autograd.grad(red, alpha)
        torch.testing.assert_close(grad.flatten(), torch.tensor([0.2 - 0.7, 0.0, 0.0]))
