import pytest
import torch
from kernel_checks import LAYOUTS, assert_gradient, assert_values, laid_out

from terrarium.kernels.ssim import naive
from terrarium.kernels.ssim.fused import _ssim, _ssim_bwd, ssim

SIZES = [(1, 1, 11, 11), (2, 1, 17, 33), (1, 1, 65, 11), (1, 1, 70, 45)]  # one window, two tiles across, down, both


def pictures(size, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(size, generator=generator)
    return x.to(dtype), (x + 0.2 * torch.randn(size, generator=generator)).to(dtype)


def check(x, y, data_range=1.0):
    grad = torch.randn(len(x))
    got = ssim(x.requires_grad_(), y.requires_grad_(), data_range)
    got.backward(grad)
    wide = [p.detach().double() for p in (x, y)]
    assert_values(got.detach(), naive.ssim(*wide, data_range))
    for picture, expected in zip((x, y), naive.ssim_backward(grad.double(), *wide, data_range), strict=True):
        assert_gradient(picture.grad, expected)


@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients(size):
    check(*pictures(size))


def test_half_precision():
    check(*pictures((1, 2, 12, 17), torch.float16))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    x, y = (laid_out(p, layout) for p in pictures((1, 2, 12, 17)))
    check(x, y)
    if layout == "channels_last":
        assert x.grad.is_contiguous(memory_format=torch.channels_last)


def test_one_picture_alone_has_a_gradient():
    x, y = pictures((1, 1, 11, 13))
    ssim(x.requires_grad_(), y, 1.0).sum().backward()
    ones = torch.ones(1, dtype=torch.float64)
    assert_gradient(x.grad, naive.ssim_backward(ones, x.detach().double(), y.double(), 1.0)[0])
    assert y.grad is None


def test_flat_and_identical_pictures():
    """Nothing to divide by but the two constants."""
    x, _ = pictures((1, 2, 12, 12))
    torch.testing.assert_close(ssim(x, x.clone(), 1.0), torch.ones(1), rtol=0, atol=1e-6)
    flat = torch.full((1, 1, 12, 12), 0.5)
    got = ssim(flat.requires_grad_(), torch.full((1, 1, 12, 12), 0.25), 1.0)
    got.sum().backward()
    torch.testing.assert_close(got.detach(), torch.tensor([(2 * 0.125 + 1e-4) / (0.3125 + 1e-4)]), rtol=1e-3, atol=0)
    assert torch.isfinite(flat.grad).all()


def test_operator_checks():
    x, y = pictures((1, 2, 11, 12))
    torch.library.opcheck(_ssim, (x.clone().requires_grad_(), y.clone().requires_grad_(), 1.0))
    for needs in ((True, True), (True, False), (False, True)):  # of an operator without a backward of its own
        torch.library.opcheck(
            _ssim_bwd, (torch.ones(1), x, y, 1.0, *needs), test_utils=("test_schema", "test_faketensor")
        )


def test_gradcheck():
    """Along random directions: a full one would run the programs for every pixel."""
    x, y = (p.double().requires_grad_() for p in pictures((1, 1, 11, 12)))
    assert torch.autograd.gradcheck(lambda a, b: ssim(a, b, 1.0), (x, y), fast_mode=True)


def test_compile_and_export():
    x, y = pictures((1, 1, 11, 12))

    class Ssim(torch.nn.Module):
        def forward(self, x, y):
            return ssim(x / 2, y / 2, 1.0)

    expected = Ssim()(x, y)
    compiled = torch.compile(Ssim(), fullgraph=True, backend="aot_eager")
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    compiled(a, y).sum().backward()
    Ssim()(b, y).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    exported = torch.export.export(Ssim(), (x, y))
    assert "terrarium.ssim" in str(exported.graph)
    torch.testing.assert_close(exported.module()(x, y), expected)
