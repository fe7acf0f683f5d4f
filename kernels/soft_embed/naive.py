"""Gumbel softmax to an embedding (Jang et al. 2017, arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712).

    g = -log(-log u)      u ~ U(0, 1), a function of (seed, row, column)
    p = softmax((logits + g) / tau)          out = p @ codebook

The noise is Philox4x32-7 (Salmon et al. 2011, doi:10.1145/2063384.2063405), keyed by the seed: the counter of row n,
column k is (k // 4, n, 0, 0), and column k takes its word k % 4. A backward pass makes it again instead of keeping it.
Seven rounds are the fewest that the paper found to pass BigCrush.
"""

from __future__ import annotations

import torch

ROUNDS = 7
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
MASK32 = 0xFFFFFFFF


def soft_embed(logits: torch.Tensor, codebook: torch.Tensor, seed: torch.Tensor, tau: float = 1.0) -> torch.Tensor:
    """logits [N, K], codebook [K, D], seed int64 [] -> [N, D] in the codebook's dtype; tau > 0.

    A seed tensor, so that a captured graph can be replayed with another.
    """
    p = gumbel_softmax(logits, seed, tau)
    with torch.autocast(logits.device.type, enabled=False):
        return (p @ codebook.to(p.dtype)).to(codebook.dtype)


def soft_embed_backward(
    grad: torch.Tensor, logits: torch.Tensor, codebook: torch.Tensor, seed: torch.Tensor, tau: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """grad: dL/dout [N, D] -> dL/dlogits [N, K], dL/dcodebook [K, D]."""
    p = gumbel_softmax(logits, seed, tau)
    grad = grad.to(p.dtype)
    dp = grad @ codebook.to(p.dtype).T
    dlogits = p * (dp - (p * dp).sum(dim=1, keepdim=True)) / tau
    return dlogits.to(logits.dtype), (p.T @ grad).to(codebook.dtype)


def gumbel_softmax(logits: torch.Tensor, seed: torch.Tensor, tau: float) -> torch.Tensor:
    """logits [N, K], seed int64 [] -> probabilities [N, K]; fp16 and bf16 give fp32."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.softmax((wide + gumbel(seed, *logits.shape).to(wide)) / tau, dim=1)


def gumbel(seed: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Standard Gumbel noise, float64 [rows, columns] on the seed's device, between -2.82 and 16.7 (23 random bits)."""
    quads = (columns + 3) // 4
    n = torch.arange(rows, device=seed.device).view(-1, 1).expand(rows, quads)
    k = torch.arange(quads, device=seed.device).expand(rows, quads)
    words = torch.stack(philox(seed, k, n), dim=-1).flatten(1)[:, :columns]
    u = ((words >> 9).double() + 0.5) * 2.0**-23  # never 0 or 1, and exact in fp32
    return -torch.log(-torch.log(u))


def philox(seed: torch.Tensor, c0: torch.Tensor, c1: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Four words of 32 bits, as int64, for the counters (c0, c1, 0, 0) under the key `seed`."""
    k0, k1 = seed & MASK32, (seed >> 32) & MASK32
    c2, c3 = torch.zeros_like(c0), torch.zeros_like(c0)
    for _ in range(ROUNDS):
        high0, low0 = _multiply(MULTIPLIERS[0], c0)
        high1, low1 = _multiply(MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + KEY_STEPS[0]) & MASK32, (k1 + KEY_STEPS[1]) & MASK32
    return c0, c1, c2, c3


def _multiply(a: int, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """32 x 32 -> the high and the low 32 bits of the product, in int64, which a whole product would overflow."""
    low = (b & 0xFFFF) * a
    middle = (b >> 16) * a + (low >> 16)
    return middle >> 16, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)
