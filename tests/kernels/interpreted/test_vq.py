import pytest
import torch
from kernel_checks import assert_gradient

from terrarium.kernels.vq.fused import _vq, vector_quantize

SIZES = [(1, 1, 1), (7, 17, 1), (17, 7, 33), (130, 130, 17), (33, 200, 130)]  # N, K, D


def vectors(n, k, d, dtype):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator).to(dtype), torch.randn(k, d, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("size", SIZES)
def test_codes_are_those_of_fp64(size, dtype):
    x, codebook = vectors(*size, dtype)
    codes, quantised = vector_quantize(x, codebook)
    distances = torch.cdist(x.double(), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert codes.equal(distances.argmin(dim=1))
    assert quantised.equal(codebook[codes])


def test_equal_distances_take_the_lowest_index():
    """Whole numbers, so that distances are exact: every code is there twice, in one block and in different ones."""
    x = torch.randint(-4, 5, (40, 6)).float()
    half = torch.randint(-4, 5, (75, 6)).float()
    codebook = torch.cat([half, half.flip(0)])
    codes, _ = vector_quantize(x, codebook)
    distances = (x[:, None] - codebook[None]).square().sum(dim=2)
    first = torch.where(distances == distances.amin(dim=1, keepdim=True), torch.arange(150), 150).amin(dim=1)
    assert codes.equal(first) and (codes < 75).all()


def test_slices_are_read_as_they_are():
    x, codebook = vectors(20, 30, 12, torch.float32)
    codes, quantised = vector_quantize(x[::2, 1:8], codebook[:, 3:10])
    expected, rows = vector_quantize(x[::2, 1:8].clone(), codebook[:, 3:10].clone())
    assert codes.equal(expected) and quantised.equal(rows)


def test_gradient_adds_up_in_the_rows_that_were_chosen():
    x, codebook = vectors(130, 7, 17, torch.float32)
    codes, quantised = vector_quantize(x, codebook.requires_grad_())
    grad = torch.randn_like(x)
    quantised.backward(grad)
    assert_gradient(codebook.grad, torch.zeros(7, 17).double().index_add_(0, codes, grad.double()))


def test_operator_checks():
    x, codebook = vectors(9, 11, 5, torch.float32)
    torch.library.opcheck(_vq, (x, codebook))
    torch.library.opcheck(_vq, (x, codebook.requires_grad_()))
    double = codebook.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: vector_quantize(x.double(), c)[1], (double,))


def test_compile_and_export():
    x, codebook = vectors(9, 11, 5, torch.float32)

    class Quantise(torch.nn.Module):
        def forward(self, x, codebook):
            return vector_quantize(2 * x, codebook)

    expected = vector_quantize(2 * x, codebook)
    for function in (
        torch.compile(Quantise(), fullgraph=True, backend="aot_eager"),
        torch.export.export(Quantise(), (x, codebook)).module(),
    ):
        assert all(a.equal(b) for a, b in zip(function(x, codebook), expected, strict=True))


def test_too_long_vectors_are_refused():
    with pytest.raises(ValueError, match="vectors of 257 numbers; expected at most 256"):
        vector_quantize(torch.ones(2, 257), torch.ones(3, 257))
