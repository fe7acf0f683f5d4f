import pytest
import torch
from torch.autograd import gradcheck

from terrarium.kernels.lpips import naive
from terrarium.kernels.lpips.fused import lpips_head


def maps(batch=2, channels=5, height=3, width=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    f0, f1 = (torch.randn(batch, channels, height, width, dtype=dtype, generator=generator) for _ in range(2))
    return f0, f1, torch.rand(channels, dtype=dtype, generator=generator)


def test_follows_the_equation():
    f0, f1, weight = maps()
    u0 = f0 / f0.norm(dim=1, keepdim=True)
    u1 = f1 / f1.norm(dim=1, keepdim=True)
    expected = torch.einsum("c,bchw->b", weight, (u0 - u1) ** 2) / 6
    torch.testing.assert_close(lpips_head(f0, f1, weight), expected)


def test_gradients():
    f0, f1, weight = maps()
    assert gradcheck(lambda a, b: lpips_head(a, b, weight), (f0.requires_grad_(), f1.requires_grad_()))


def test_backward_formula_is_the_gradient():
    f0, f1, weight = maps()
    grad = torch.tensor([0.3, -2.0], dtype=torch.float64)
    naive.lpips_head(f0.requires_grad_(), f1.requires_grad_(), weight).backward(grad)
    df0, df1 = naive.lpips_head_backward(grad, f0.detach(), f1.detach(), weight)
    torch.testing.assert_close((df0, df1), (f0.grad, f1.grad))


def test_a_pixel_of_zeros_has_no_gradient_and_its_neighbours_have_theirs():
    f0, f1, weight = maps()
    f0[:, :, 1, 1] = 0
    lpips_head(f0.requires_grad_(), f1.requires_grad_(), weight).sum().backward()
    assert (f0.grad[:, :, 1, 1] == 0).all() and (f0.grad[:, :, 0, 0] != 0).all()
    assert torch.isfinite(f0.grad).all() and torch.isfinite(f1.grad).all()


def test_small_differences_keep_their_digits():
    """|u0|^2 - 2 u0.u1 + |u1|^2 would be all rounding error here.

    A difference of 1e-5 between two rounded numbers is known to 6e-8 / 1e-5; how far that averages out depends on the
    order in which a processor adds (1.03e-3 seen on one, less than 1e-3 on another).
    """
    f0, f1, weight = maps(channels=64)
    f1 = f0 + 1e-5 * f1
    got = lpips_head(f0.float(), f1.float(), weight.float())
    torch.testing.assert_close(
        got.double(), naive.lpips_head(f0.float().double(), f1.float().double(), weight), rtol=6e-3, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_fp32(dtype):
    f0, f1, weight = (x.to(dtype) for x in maps())
    got = lpips_head(f0, f1, weight)
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got.double(), lpips_head(f0.double(), f1.double(), weight.double()), rtol=1e-5, atol=1e-6
    )


def test_compiles_to_one_graph_and_exports():
    f0, f1, weight = maps(dtype=torch.float32)
    expected = lpips_head(f0, f1, weight)
    compiled = torch.compile(lpips_head, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(f0, f1, weight), expected)

    class Head(torch.nn.Module):
        def forward(self, f0, f1, weight):
            return lpips_head(f0, f1, weight)

    torch.testing.assert_close(torch.export.export(Head(), (f0, f1, weight)).module()(f0, f1, weight), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f1": torch.ones(2, 5, 3, 3)}, r"f1 has shape \[2, 5, 3, 3\]; expected \[2, 5, 3, 2\]"),
        ({"weight": torch.ones(4)}, r"weight has shape \[4\]; expected \[5\]"),
        ({"f0": torch.ones(5, 3, 2)}, r"f0 has shape \[5, 3, 2\]; expected \[B, C, H, W\]"),
        ({"f0": torch.ones(2, 5, 0, 2)}, "none but B 0"),
        ({"f0": torch.ones(2, 5, 3, 2, dtype=torch.int32)}, "f0 is torch.int32; expected one of"),
        ({"f0": torch.ones(2, 5, 3, 2, dtype=torch.float16)}, "f1 is torch.float32, f0 torch.float16"),
        ({"f1": torch.ones(2, 5, 3, 2, device="meta")}, "f1 is on meta, f0 on cpu"),
        ({"weight": torch.ones(5, requires_grad=True)}, "weight requires a gradient"),
    ],
)
def test_what_it_cannot_do_is_said(change, message):
    given = dict(zip(("f0", "f1", "weight"), maps(dtype=torch.float32), strict=True))
    with pytest.raises(ValueError, match=message):
        lpips_head(**given | change)
