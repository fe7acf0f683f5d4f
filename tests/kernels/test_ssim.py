import math

import pytest
import torch
from torch.autograd import gradcheck

from terrarium.kernels.ssim import naive
from terrarium.kernels.ssim.fused import ssim


def pictures(*size, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(size, dtype=dtype, generator=generator)
    return x, (x + 0.2 * torch.randn(size, dtype=dtype, generator=generator)).clamp(0, 1)


def test_follows_the_equation_window_by_window():
    x, y = pictures(1, 2, 13, 12)
    one = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    w = torch.tensor([[a * b for b in one] for a in one], dtype=torch.float64)
    w /= w.sum()
    values = []
    for c in range(2):
        for i in range(3):
            for j in range(2):
                p, q = x[0, c, i : i + 11, j : j + 11], y[0, c, i : i + 11, j : j + 11]
                mp, mq = (w * p).sum(), (w * q).sum()
                vp, vq, vpq = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum(), (w * (p - mp) * (q - mq)).sum()
                c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
                values.append((2 * mp * mq + c1) * (2 * vpq + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    torch.testing.assert_close(ssim(x, y, 2.0), torch.stack(values).mean().view(1))


def test_a_picture_and_itself_its_negative_and_noise():
    x, y = pictures(2, 3, 32, 24)
    torch.testing.assert_close(ssim(x, x, 1.0), torch.ones(2, dtype=torch.float64))
    assert (ssim(x, 1 - x, 1.0) < -0.8).all()
    assert (ssim(x, y, 1.0) < 0.95).all() and (ssim(x, y, 1.0) > ssim(x, torch.rand_like(x), 1.0)).all()
    torch.testing.assert_close(ssim(255 * x, 255 * y, 255.0), ssim(x, y, 1.0))


def test_gradients():
    x, y = (p.requires_grad_() for p in pictures(1, 2, 12, 13))
    assert gradcheck(lambda a, b: ssim(a, b, 1.0), (x, y))


def test_backward_formula_is_the_gradient():
    x, y = pictures(2, 2, 12, 23)
    grad = torch.tensor([0.3, -2.0], dtype=torch.float64)
    naive.ssim(x.requires_grad_(), y.requires_grad_(), 1.0).backward(grad)
    torch.testing.assert_close(naive.ssim_backward(grad, x.detach(), y.detach(), 1.0), (x.grad, y.grad))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lower_precision_is_computed_in_fp32_under_autocast_too(dtype):
    x, y = (p.to(dtype) for p in pictures(1, 3, 20, 21))
    with torch.autocast("cpu", torch.bfloat16):
        got = ssim(x, y, 1.0)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), ssim(x.double(), y.double(), 1.0), rtol=1e-5, atol=1e-6)


def test_compiles_to_one_graph():
    x, y = pictures(1, 3, 20, 21, dtype=torch.float32)
    compiled = torch.compile(ssim, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, y, 1.0), ssim(x, y, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x": torch.ones(1, 3, 10, 12)},
            r"x has shape \[1, 3, 10, 12\]; expected \[B, C, H, W\] with H and W at least 11",
        ),
        ({"x": torch.ones(3, 12, 12)}, r"x has shape \[3, 12, 12\]"),
        ({"y": torch.ones(1, 1, 12, 12)}, r"y has shape \[1, 1, 12, 12\]; expected \[1, 3, 12, 12\]"),
        ({"y": torch.ones(1, 3, 12, 12).half()}, "y is torch.float16, x torch.float32"),
        ({"x": torch.ones(1, 3, 12, 12).byte()}, "x is torch.uint8; expected one of"),
        ({"data_range": -1.0}, "data_range is -1.0; expected a number above 0"),
        ({"y": torch.ones(1, 3, 12, 12, device="meta")}, "y is on meta, x on cpu"),
    ],
)
def test_what_it_cannot_do_is_said(change, message):
    given = {"x": torch.ones(1, 3, 12, 12), "y": torch.ones(1, 3, 12, 12), "data_range": 1.0}
    with pytest.raises(ValueError, match=message):
        ssim(**given | change)
