import pytest
import torch
from kernel_checks import LAYOUTS, assert_gradient, assert_values, laid_out

from terrarium.kernels.lpips import naive
from terrarium.kernels.lpips.fused import _lpips_head, _lpips_head_bwd, lpips_head

SIZES = [(1, 1, 1, 1), (2, 7, 1, 17), (1, 17, 7, 7), (2, 33, 3, 5), (1, 130, 17, 7)]  # B, C, H, W


def maps(size, dtype=torch.float32, layouts=("contiguous", "contiguous")):
    """Relu's outputs, as LPIPS gets them: one pixel of zeros, one where both maps are the same."""
    generator = torch.Generator().manual_seed(0)
    f0, f1 = (torch.randn(size, generator=generator).to(dtype).relu() for _ in range(2))
    f0[0, :, 0, 0] = 0
    f1[-1, :, -1, -1] = f0[-1, :, -1, -1]
    return *(laid_out(f, layout) for f, layout in zip((f0, f1), layouts, strict=True)), torch.rand(
        size[1], generator=generator
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_and_gradients(size, layout, dtype):
    f0, f1, weight = maps(size, dtype, (layout, layout))
    grad = torch.randn(size[0], generator=torch.Generator().manual_seed(1))  # a tiny one underflows in fp16
    wide = [t.double() for t in (f0, f1, weight)]
    got = lpips_head(f0.requires_grad_(), f1.requires_grad_(), weight)
    got.backward(grad)
    assert_values(got.detach(), naive.lpips_head(*wide), f"{size} {layout}")
    expected = naive.lpips_head_backward(grad.double(), *wide)
    for f, df in zip((f0, f1), expected, strict=True):
        assert_gradient(f.grad, df, f"{size} {layout}")
        if layout == "channels_last":
            assert f.grad.is_contiguous(memory_format=torch.channels_last)


def test_maps_that_lie_differently():
    f0, f1, weight = maps((2, 33, 3, 5), layouts=("channels_last", "contiguous"))
    assert_values(lpips_head(f0, f1, weight), naive.lpips_head(f0.double(), f1.double(), weight.double()))


def test_only_the_gradient_that_is_asked_for():
    f0, f1, weight = maps((2, 33, 3, 5))
    lpips_head(f0.requires_grad_(), f1, weight).sum().backward()
    ones = torch.ones(2, dtype=torch.float64)
    wide = [t.detach().double() for t in (f0, f1, weight)]
    assert_gradient(f0.grad, naive.lpips_head_backward(ones, *wide)[0])
    assert f1.grad is None
    df0, df1 = _lpips_head_bwd(ones.float(), f0.detach(), f1, weight, False, True)
    assert df0.numel() == 0
    assert_gradient(df1, naive.lpips_head_backward(ones, *wide)[1])


def test_extremes():
    """Identical maps: 0 exactly. Large fp16 values: no overflow. Nearly equal maps: no cancellation."""
    f0, _, weight = maps((2, 33, 3, 5))
    assert (lpips_head(f0, f0.clone(), weight) == 0).all()
    large = torch.full((1, 130, 3, 3), 60000.0, dtype=torch.float16)
    assert torch.isfinite(lpips_head(large, large.flip(1) / 2, torch.rand(130))).all()
    near = f0 + 1e-5 * torch.randn_like(f0)
    expected = naive.lpips_head(f0.double(), near.double(), weight.double())
    torch.testing.assert_close(lpips_head(f0, near, weight).double(), expected, rtol=1e-2, atol=0)


def test_features_near_eps():
    """Where |f| is 1e-10, eps is half of the divisor."""
    f0, f1, weight = maps((1, 7, 2, 3))
    f0, f1 = f0 * 1e-10, f1 * 1e-10
    wide = [t.double() for t in (f0, f1, weight)]
    got = lpips_head(f0.requires_grad_(), f1, weight)
    got.sum().backward()
    assert_values(got.detach(), naive.lpips_head(*wide))
    assert_gradient(f0.grad, naive.lpips_head_backward(torch.ones(1).double(), *wide)[0])


def test_operator_checks():
    f0, f1, weight = maps((2, 7, 3, 2))
    layouts = [(f0, f1), tuple(laid_out(f, "channels_last") for f in (f0, f1))]
    for a, b in layouts:
        torch.library.opcheck(_lpips_head, (a.clone().requires_grad_(), b.clone().requires_grad_(), weight))
        for need0, need1 in ((True, True), (True, False)):
            torch.library.opcheck(_lpips_head_bwd, (torch.ones(2), a, b, weight, need0, need1))


def test_gradcheck():
    f0, f1, weight = (t.double() for t in maps((1, 3, 2, 2)))
    f0, f1 = f0[..., 1:] + 0.1, f1[..., 1:] + 0.1  # away from the kink at 0
    assert torch.autograd.gradcheck(lambda a, b: lpips_head(a, b, weight), (f0.requires_grad_(), f1.requires_grad_()))


def test_compile_and_export():
    f0, f1, weight = maps((2, 17, 3, 5))

    def loss(f0, f1):
        return lpips_head(2 * f0, f1, weight).mean()

    a, b = f0.clone().requires_grad_(), f0.clone().requires_grad_()
    loss(a, f1).backward()
    torch.compile(loss, fullgraph=True, backend="aot_eager")(b, f1).backward()
    torch.testing.assert_close(b.grad, a.grad)

    class Loss(torch.nn.Module):
        def forward(self, f0, f1):
            return loss(f0, f1)

    exported = torch.export.export(Loss(), (f0, f1))
    assert "terrarium.lpips_head" in str(exported.graph)
    torch.testing.assert_close(exported.module()(f0, f1), loss(f0, f1))


def test_too_many_channels_are_refused():
    with pytest.raises(ValueError, match=r"\[1, 1025, 1, 1\]; expected at most 1024 channels"):
        lpips_head(torch.ones(1, 1025, 1, 1), torch.ones(1, 1025, 1, 1), torch.ones(1025))
