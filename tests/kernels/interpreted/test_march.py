import pytest
import torch
from kernel_checks import assert_gradient, assert_values

from terrarium.kernels.march import naive, triton_kernels
from terrarium.kernels.march.fused import _march, march
from terrarium.worlds.voxels import checks

EYES = {"outside": (9.3, 7.1, -6.2), "inside": (1.3, 1.2, 2.6), "below": (2.4, -8.0, 2.1)}


def inputs(shape, eye, rays, dtype):
    """A fog with a few voxels of opacity 0 and 1, and rays towards it; the first runs along z, the second past it."""
    generator = torch.Generator().manual_seed(0)
    alpha = torch.rand(shape, generator=generator, dtype=torch.float64)
    alpha.view(-1)[::5], alpha.view(-1)[::7] = 0, 1
    colour = torch.rand((*shape, 6, 3), generator=generator, dtype=torch.float64)
    eye = torch.tensor(eye, dtype=torch.float64)
    towards = torch.rand(rays, 3, generator=generator, dtype=torch.float64) * torch.tensor(shape) - eye
    towards[0] = torch.tensor((0.0, 0.0, 1.0))
    towards[1:2] = torch.tensor((1.0, 1.0, -1.0))
    return alpha.to(dtype), colour.to(dtype), eye, torch.nn.functional.normalize(towards, dim=-1)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("size", [((1, 1, 1), 1), ((4, 3, 5), 7), ((3, 7, 2), 33), ((5, 5, 5), 130)])
def test_light_and_gradients_are_those_of_fp64(size, eye, monkeypatch):
    monkeypatch.setattr(triton_kernels, "SCRATCH", 40 * 12 * 128)  # the largest takes two parts
    shape, count = size
    *wide, at, rays = inputs(shape, EYES[eye], count, torch.float64)
    narrow = [x.float().requires_grad_() for x in wide]
    wide = [x.requires_grad_() for x in wide]
    expected, got = naive.march(*wide, at, rays), march(*narrow, at, rays)
    assert_values(got.detach(), expected.detach(), "light")
    grad = torch.randn(count, 8, generator=torch.Generator().manual_seed(1))
    truth = torch.autograd.grad(expected, wide, grad.double())
    for name, a, b in zip(("alpha", "colour"), torch.autograd.grad(got, narrow, grad), truth, strict=True):
        assert_gradient(a, b, name)


def test_only_the_gradient_that_is_asked_for():
    alpha, colour, eye, rays = inputs((4, 3, 5), EYES["outside"], 7, torch.float32)
    both = [t.clone().requires_grad_() for t in (alpha, colour)]
    march(*both, eye, rays).sum().backward()
    march(alpha.requires_grad_(), colour, eye, rays).sum().backward()
    assert_gradient(alpha.grad, both[0].grad.double())
    assert colour.grad is None


def test_operator_checks():
    alpha, colour, eye, rays = inputs((2, 1, 2), EYES["outside"], 2, torch.float64)
    given = (alpha.requires_grad_(), colour.requires_grad_())
    torch.library.opcheck(_march, (*given, eye, rays))
    assert torch.autograd.gradcheck(lambda a, c: march(a, c, eye, rays), given, fast_mode=True)


def test_the_checks_of_the_renderer_hold():
    """Those of worlds/voxels that are quick here; `python -m terrarium.worlds.voxels.checks` has them all."""
    made = [check for group in (checks.along_axes, checks.empty_and_full) for check in group()]
    assert "triton" in {check.backend for check in made}
    assert [check for check in made if not check.holds] == []


def test_compile_and_export():
    alpha, colour, eye, rays = inputs((2, 3, 2), EYES["inside"], 5, torch.float32)

    class March(torch.nn.Module):
        def forward(self, alpha, colour):
            return march(alpha * 0.5, colour, eye, rays)

    expected = march(alpha * 0.5, colour, eye, rays)
    for function in (
        torch.compile(March(), fullgraph=True, backend="aot_eager"),
        torch.export.export(March(), (alpha, colour)).module(),
    ):
        assert function(alpha, colour).equal(expected)


def test_slices_are_read_as_they_are():
    alpha, colour, eye, rays = inputs((4, 6, 5), EYES["outside"], 20, torch.float32)
    sliced = march(alpha[:, ::2], colour[:, ::2], eye, rays)
    assert sliced.equal(march(alpha[:, ::2].clone(), colour[:, ::2].clone(), eye, rays))
