import pytest
import torch
from torch.autograd import gradcheck

from terrarium.kernels.soft_embed import naive
from terrarium.kernels.soft_embed.fused import soft_embed

SEED = torch.tensor(20261121)


def inputs(n=7, k=13, d=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, k, dtype=dtype, generator=generator), torch.randn(k, d, dtype=dtype, generator=generator)


def test_philox_is_the_published_generator():
    """Known answers of Random123 for philox4x32 with 7 rounds: all zeros, all ones."""
    zero, ones = torch.zeros((), dtype=torch.int64), torch.tensor(0xFFFFFFFF)
    assert [hex(int(w)) for w in naive.philox(zero, zero, zero)] == [
        "0x5f6fb709",
        "0xd893f64",
        "0x4f121f81",
        "0x4f730a48",
    ]
    assert all(0 <= int(w) <= 0xFFFFFFFF for w in naive.philox(torch.tensor(-1), ones, ones))


def test_noise_is_gumbel_and_differs_by_seed_row_and_column():
    g = naive.gumbel(SEED, 500, 402)
    n = g.numel()
    assert abs(g.mean() - 0.5772157) < 4 * (1.6449341 / n) ** 0.5  # Euler's constant; variance pi^2 / 6
    assert abs(g.var() - 1.6449341) < 0.03
    assert len(g.unique()) > 0.98 * n  # of 2^23 values
    assert (g == naive.gumbel(SEED + 1, 500, 402)).sum() < 10
    assert g[:20, :31].equal(naive.gumbel(SEED, 20, 31))  # of the position alone


def test_choices_follow_the_softmax():
    """argmax of logits + g is a draw from softmax(logits)."""
    logits = torch.tensor([2.0, 0.0, 1.0, -1.0], dtype=torch.float64)
    rows = 20_000
    p = naive.gumbel_softmax(logits.expand(rows, 4), SEED, tau=0.1)
    share = torch.bincount(p.argmax(dim=1), minlength=4) / rows
    assert (share - logits.softmax(0)).abs().max() < 0.012


def test_gradients():
    logits, codebook = (x.requires_grad_() for x in inputs())
    assert gradcheck(lambda a, b: soft_embed(a, b, SEED, 0.7), (logits, codebook))


def test_backward_formula_is_the_gradient():
    logits, codebook = inputs()
    grad = torch.randn(7, 4, dtype=torch.float64)
    naive.soft_embed(logits.requires_grad_(), codebook.requires_grad_(), SEED, 0.7).backward(grad)
    formula = naive.soft_embed_backward(grad, logits.detach(), codebook.detach(), SEED, 0.7)
    torch.testing.assert_close(formula, (logits.grad, codebook.grad))


def test_compiles_to_one_graph_for_every_seed():
    logits, codebook = inputs(dtype=torch.float32)
    compiled = torch.compile(soft_embed, fullgraph=True, backend="aot_eager")
    for seed in (SEED, SEED + 5):
        torch.testing.assert_close(compiled(logits, codebook, seed), soft_embed(logits, codebook, seed))
    assert not soft_embed(logits, codebook, SEED).allclose(soft_embed(logits, codebook, SEED + 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebook": torch.ones(5, 2)}, r"logits have shape \[4, 3\], codebook \[5, 2\]; expected"),
        ({"logits": torch.ones(4, 0), "codebook": torch.ones(0, 2)}, "K and D above 0"),
        ({"logits": torch.ones(4, 3).half()}, "codebook is torch.float32, logits are torch.float16"),
        ({"seed": torch.tensor(1.0)}, r"seed is torch.float32 with shape \[\]; expected one torch.int64"),
        ({"seed": torch.tensor([1, 2])}, r"seed is torch.int64 with shape \[2\]"),
        ({"tau": 0.0}, "tau is 0.0; expected a number above 0"),
        ({"tau": float("nan")}, "tau is nan"),
        ({"codebook": torch.ones(3, 2, device="meta")}, "codebook is on meta, logits on cpu"),
    ],
)
def test_what_it_cannot_do_is_said(change, message):
    given = {"logits": torch.ones(4, 3), "codebook": torch.ones(3, 2), "seed": SEED}
    with pytest.raises(ValueError, match=message):
        soft_embed(**given | change)
