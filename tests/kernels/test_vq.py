import pytest
import torch
from torch.autograd import gradcheck

from terrarium.kernels.vq.fused import vector_quantize


def test_nearest_code_and_its_row():
    torch.manual_seed(0)
    x, codebook = torch.randn(50, 6), torch.randn(17, 6)
    codes, quantised = vector_quantize(x, codebook)
    assert codes.equal(torch.cdist(x.double(), codebook.double()).argmin(dim=1))
    assert quantised.equal(codebook[codes])


def test_equal_distances_take_the_lowest_index():
    codebook = torch.tensor([[4.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [1.0, 1.0]])
    codes, _ = vector_quantize(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), codebook)
    assert codes.tolist() == [1, 1]


def test_autocast_does_not_reach_the_distances():
    torch.manual_seed(0)
    x, codebook = torch.randn(400, 16), torch.randn(256, 16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = vector_quantize(x, codebook)[0]
    assert inside.equal(vector_quantize(x, codebook)[0])
    rounded = (codebook.square().sum(1) / 2 - x.bfloat16() @ codebook.bfloat16().T).argmin(dim=1)
    assert not inside.equal(rounded)  # what autocast would have chosen


def test_gradient_reaches_the_codes_that_were_chosen():
    torch.manual_seed(0)
    x, codebook = torch.randn(9, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda c: vector_quantize(x, c)[1], (codebook,))


def test_compiles_to_one_graph():
    torch.manual_seed(0)
    x, codebook = torch.randn(9, 3), torch.randn(5, 3)
    codes, quantised = torch.compile(vector_quantize, fullgraph=True, backend="aot_eager")(x, codebook)
    assert codes.equal(vector_quantize(x, codebook)[0]) and quantised.equal(codebook[codes])


@pytest.mark.parametrize(
    ("x", "codebook", "message"),
    [
        (torch.ones(4, 3), torch.ones(5, 2), r"x has shape \[4, 3\], codebook \[5, 2\]; expected \[N, D\] and"),
        (torch.ones(4, 3), torch.ones(0, 3), "K and D above 0"),
        (torch.ones(4, 3).half(), torch.ones(5, 3), "codebook is torch.float32, x torch.float16"),
        (torch.ones(4, 3).int(), torch.ones(5, 3), "x is torch.int32; expected one of"),
        (torch.ones(4, 3), torch.ones(5, 3, device="meta"), "codebook is on meta, x on cpu"),
    ],
)
def test_what_it_cannot_do_is_said(x, codebook, message):
    with pytest.raises(ValueError, match=message):
        vector_quantize(x, codebook)
