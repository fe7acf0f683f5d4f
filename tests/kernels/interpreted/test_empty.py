"""Nothing in, nothing out, and gradients that are there and empty or zero."""

import torch

from terrarium.kernels.lpips.fused import lpips_head
from terrarium.kernels.march.fused import march
from terrarium.kernels.soft_embed.fused import soft_embed
from terrarium.kernels.ssim.fused import ssim
from terrarium.kernels.vq.fused import vector_quantize


def leaf(*shape, dtype=torch.float32):
    return torch.ones(shape, dtype=dtype).requires_grad_()


def test_no_rows_pictures_or_rays():
    f, picture, logits, codebook = leaf(0, 3, 2, 2), leaf(0, 1, 12, 12), leaf(0, 5), leaf(5, 2)
    alpha, eye = leaf(2, 2, 2), torch.ones(3).double()
    made = {
        "lpips_head": lpips_head(f, f.detach(), torch.ones(3)),
        "ssim": ssim(picture, picture.detach(), 1.0),
        "vector_quantize": vector_quantize(torch.ones(0, 2), codebook)[1],
        "soft_embed": soft_embed(logits, codebook, torch.tensor(1)),
        "march": march(alpha, torch.ones(2, 2, 2, 6, 3), eye, torch.ones(0, 3).double()),
    }
    assert {name: len(x) for name, x in made.items()} == dict.fromkeys(made, 0)
    sum(x.sum() for x in made.values()).backward()
    assert not codebook.grad.any() and not alpha.grad.any()
    assert [x.grad.numel() for x in (f, picture, logits)] == [0, 0, 0]
