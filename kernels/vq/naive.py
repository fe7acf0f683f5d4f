"""Nearest code of a vector (van den Oord et al. 2017, arXiv:1711.00937, equation 1), the lowest index where two tie.

    code_n = argmin_k |x_n - e_k|^2 = argmin_k  |e_k|^2 / 2 - x_n . e_k            quantised_n = e_code

Computed in fp32 whatever the inputs, and outside of autocast: distances rounded to bf16 choose wrong codes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def vector_quantize(x: torch.Tensor, codebook: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x [N, D], codebook [K, D] -> codes int64 [N], quantised [N, D] in the codebook's dtype.

    The gradient of `quantised` reaches the codebook; x has none (the straight-through step is the caller's).
    """
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        wide = torch.promote_types(x.dtype, torch.float32)
        e = codebook.to(wide)
        codes = ((e * e).sum(dim=1) / 2 - x.to(wide) @ e.T).argmin(dim=1)
    return codes, F.embedding(codes, codebook)
