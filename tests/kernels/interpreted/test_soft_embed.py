import pytest
import torch
from kernel_checks import assert_gradient, assert_values

from terrarium.kernels.soft_embed import naive
from terrarium.kernels.soft_embed.fused import _soft_embed, _soft_embed_bwd, soft_embed

SEED = torch.tensor(-(2**40) + 7)  # both halves of the key, and a sign
SIZES = [(1, 1, 1), (7, 17, 1), (130, 33, 7), (17, 130, 33)]  # N, K, D


def inputs(n, k, d, dtype=torch.float32, scale=2.0):
    generator = torch.Generator().manual_seed(0)
    logits, codebook = torch.randn(n, k, generator=generator) * scale, torch.randn(k, d, generator=generator)
    return logits.to(dtype), codebook.to(dtype)


def check(logits, codebook, tau):
    grad = torch.randn(len(logits), codebook.shape[1]).to(logits.dtype)
    out = soft_embed(logits.requires_grad_(), codebook.requires_grad_(), SEED, tau)
    out.backward(grad)
    wide = [t.detach().double() for t in (logits, codebook)]
    assert_values(out.detach(), naive.soft_embed(*wide, SEED, tau))
    dlogits, dcodebook = naive.soft_embed_backward(grad.double(), *wide, SEED, tau)
    if logits.shape[1] > 1:  # of one code the probability is 1 and its gradient 0
        assert_gradient(logits.grad, dlogits, "logits")
    assert_gradient(codebook.grad, dcodebook, "codebook")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients(size, dtype):
    check(*inputs(*size, dtype), tau=0.7)


@pytest.mark.parametrize("scale", [0.0, 200.0])
def test_extreme_logits(scale):
    logits, codebook = inputs(7, 70, 5)
    check(logits.sign() * scale, codebook, tau=1.0)


def test_forbidden_codes():
    """Logits of -inf, a whole block of them too."""
    logits, codebook = inputs(7, 150, 5)
    logits[:, :64] = float("-inf")
    logits[3, 100:] = float("-inf")
    out = soft_embed(logits, codebook, SEED)
    assert_values(out, naive.soft_embed(logits.double(), codebook.double(), SEED))


def test_slices_are_read_as_they_are():
    logits, codebook = inputs(20, 30, 12)
    got = soft_embed(logits[::2, 1:21], codebook[5:25, ::3], SEED)
    assert got.equal(soft_embed(logits[::2, 1:21].clone(), codebook[5:25, ::3].clone(), SEED))


def test_only_the_gradient_that_is_asked_for():
    logits, codebook = inputs(17, 30, 5)
    both = [t.clone().requires_grad_() for t in (logits, codebook)]
    soft_embed(*both, SEED).sum().backward()
    soft_embed(logits.requires_grad_(), codebook, SEED).sum().backward()
    soft_embed(logits.detach(), codebook.requires_grad_(), SEED).sum().backward()
    assert logits.grad.equal(both[0].grad) and codebook.grad.equal(both[1].grad)


def test_operator_checks():
    logits, codebook = inputs(9, 11, 5)
    torch.library.opcheck(_soft_embed, (logits, codebook, SEED, 0.7))
    torch.library.opcheck(_soft_embed, (logits.clone().requires_grad_(), codebook.clone().requires_grad_(), SEED, 0.7))
    out, lse = _soft_embed(logits, codebook, SEED, 0.7)
    for needs in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(_soft_embed_bwd, (torch.ones_like(out), out, lse, logits, codebook, SEED, 0.7, *needs))


def test_gradcheck():
    double = [t.double().requires_grad_() for t in inputs(3, 5, 2)]
    assert torch.autograd.gradcheck(lambda a, b: soft_embed(a, b, SEED, 0.7), double, fast_mode=True)


def test_compile_and_export():
    logits, codebook = inputs(9, 11, 5)

    class Embed(torch.nn.Module):
        def forward(self, logits, codebook, seed):
            return soft_embed(2 * logits, codebook, seed, 0.7)

    expected = soft_embed(2 * logits, codebook, SEED, 0.7)
    compiled = torch.compile(Embed(), fullgraph=True, backend="aot_eager")
    assert compiled(logits, codebook, SEED).equal(expected)
    a, b = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    compiled(a, codebook, SEED).sum().backward()
    Embed()(b, codebook, SEED).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    exported = torch.export.export(Embed(), (logits, codebook, SEED))
    assert "terrarium.soft_embed" in str(exported.graph)
    assert exported.module()(logits, codebook, SEED).equal(expected)


def test_too_long_codes_are_refused():
    with pytest.raises(ValueError, match=r"codes of 129 numbers in torch\.float32; expected at most 128"):
        soft_embed(torch.ones(2, 3), torch.ones(3, 129), SEED)
