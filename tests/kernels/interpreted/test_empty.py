"""Nothing in, nothing out, and gradients that are there and empty or zero."""

import torch

from terrarium.kernels import draw_codes, lpips_head, march, soft_embed, ssim, vector_quantize


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


def test_no_codes():
    cells = torch.ones(0, 2, 2, dtype=torch.int64)
    codes, nats = draw_codes(leaf(0, 3, 2, 2), leaf(0, 3, 2, 2), leaf(0), cells, cells.bool(), (3,))
    assert codes.shape == nats.shape == (0, 2, 2)
