"""The choosing of codes against naive.py, in Triton's interpreter."""

import pytest
import torch
from kernel_checks import LAYOUTS, assert_values, laid_out

from terrarium.kernels.codes import draw_codes, fused, naive

SHAPES = [(1, 1, 1), (2, 7, 17), (3, 3, 130)]  # B, h, w
FACTORS = [((8, 5, 5, 5), SHAPES), ((3,), SHAPES), ((2, 130), [(1, 1, 1), (2, 3, 5), (3, 1, 2)])]  # two cells a program


def inputs(shape, factors, dtype=torch.float32, layout="channels_last"):
    b, h, w = shape
    logits, noise = torch.randn(b, sum(factors), h, w), torch.empty(b, sum(factors), h, w).exponential_()
    codes = torch.randint(torch.Size(factors).numel(), shape)
    maps = [laid_out(x.to(dtype), layout) for x in (logits, noise)]
    return [*maps, torch.rand(b), codes, torch.rand(shape) < 0.4, factors]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("factors", "shapes"), FACTORS)
def test_codes_and_nats(dtype, factors, shapes):
    torch.manual_seed(0)
    for shape, layout in zip(shapes, LAYOUTS, strict=True):
        given = inputs(shape, factors, dtype, layout)
        codes, cost = draw_codes(*given)
        expected = naive.draw_codes(*given)[0]
        assert codes.equal(expected) and codes[given[4]].equal(given[3][given[4]])
        assert_values(cost, naive.nats(given[0].double(), codes, factors))


def test_greedy_takes_the_first_of_equal_ones():
    logits, noise, _, codes, chosen, factors = inputs((2, 3, 5), (8, 5, 5, 5))
    flat = torch.zeros_like(logits)
    flat[:, 3:5] = flat[:, 9:12] = 1  # whole numbers, equal twice and three times
    drawn, _ = draw_codes(flat, noise, torch.zeros(2), codes, torch.zeros_like(chosen), factors)
    assert (drawn == 3 + 8 * 1).all()
    assert draw_codes(200 * logits, noise, torch.zeros(2), codes, chosen, factors)[1].isfinite().all()


def test_draws_follow_the_softmax():
    torch.manual_seed(1)
    logits = torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1).expand(1, 3, 20, 100)
    noise = torch.empty(1, 3, 20, 100).exponential_()
    cells = torch.zeros(1, 20, 100, dtype=torch.int64)
    drawn, _ = draw_codes(logits, noise, torch.ones(1), cells, cells.bool(), (3,))
    share = torch.bincount(drawn.flatten(), minlength=3) / 2000
    torch.testing.assert_close(share, torch.tensor([0.0, 1.0, 2.0]).softmax(0), atol=0.04, rtol=0)


def test_operator_compiles_and_exports():
    given = inputs((2, 3, 5), (4, 3))
    torch.library.opcheck(fused._draw_codes, tuple(given))

    class Draw(torch.nn.Module):
        def forward(self, logits, noise, heat, codes, chosen):
            return draw_codes(2 * logits, noise, heat, codes, chosen, (4, 3))

    expected = Draw()(*given[:5])
    for function in (
        torch.compile(Draw(), fullgraph=True, backend="aot_eager"),
        torch.export.export(Draw(), tuple(given[:5])).module(),
    ):
        assert all(a.equal(b) for a, b in zip(function(*given[:5]), expected, strict=True))


@pytest.mark.parametrize(
    ("i", "change", "message"),
    [
        (0, lambda x: x[:, 1:], "logits have shape .*; expected .B, 7, h, w."),
        (1, lambda x: x[:1], "noise has shape"),
        (2, lambda x: x[:1], r"temperature has shape \[1\]; expected \[2\]"),
        (3, lambda x: x.int(), "codes is torch.int32; expected torch.int64"),
        (4, lambda x: x.int(), "chosen is torch.int32; expected torch.bool"),
    ],
)
def test_what_does_not_fit_is_refused(i, change, message):
    given = inputs((2, 3, 5), (4, 3))
    given[i] = change(given[i])
    with pytest.raises(ValueError, match=message):
        draw_codes(*given)
