"""Codes of several factors drawn from their logits (Gumbel 1954; Maddison et al. 2014, arXiv:1411.0030).

    digit_f = argmax_j  logits_fj + t g_fj        g = -log e, standard Gumbel noise from exponential noise e; t >= 0
    code    = sum_f  digit_f * levels_0 ... levels_{f-1}        the first factor fastest
    nats    = -sum_f  log softmax(logits_f)[digit_f]

Shapes: K the sum of the factors' levels, h x w the grid of codes. `factors` are the levels of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def draw_codes(
    logits: torch.Tensor,
    noise: torch.Tensor,
    temperature: torch.Tensor,
    codes: torch.Tensor,
    chosen: torch.Tensor,
    factors: Sequence[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """logits [B, K, h, w], `noise` [B, K, h, w] standard exponential, temperature [B], 0 is greedy; `codes` int64
    [B, h, w] stay where `chosen` bool [B, h, w], and the others are drawn -> codes, their nats [B, h, w]."""
    codes = torch.where(chosen, codes, sample(logits, noise, temperature, factors))
    return codes, nats(logits, codes, factors)


def sample(
    logits: torch.Tensor, noise: torch.Tensor, temperature: torch.Tensor, factors: Sequence[int]
) -> torch.Tensor:
    """As `draw_codes`, where none is chosen, and without the nats."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    heat = temperature.to(logits.dtype).view(-1, 1, 1, 1)
    parts = zip(logits.split(list(factors), 1), noise.split(list(factors), 1), strict=True)
    return join_factors(torch.stack([largest(x - heat * e.to(x.dtype).log()) for x, e in parts], dim=-1), factors)


def nats(logits: torch.Tensor, codes: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """logits [..., K, h, w], codes int64 [..., h, w] -> minus the log-probability of each, [..., h, w]; fp16 and bf16
    give fp32."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    digits = split_factors(codes, factors)
    parts = [part.log_softmax(dim=-3) for part in wide.split(list(factors), dim=-3)]
    losses = [-p.gather(-3, digits[..., f].unsqueeze(-3)).squeeze(-3) for f, p in enumerate(parts)]
    return torch.stack(losses).sum(dim=0)


def largest(x: torch.Tensor) -> torch.Tensor:
    """Index of the largest of the C channels, [N, C, h, w] -> int64 [N, h, w]; ten times as fast with them last."""
    return x.contiguous(memory_format=torch.channels_last).argmax(dim=1)


def split_factors(codes: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """int64 [...] -> digits int64 [..., F], the first factor fastest."""
    digits = []
    for levels in factors:
        digits.append(codes % levels)
        codes = codes // levels
    return torch.stack(digits, dim=-1)


def join_factors(digits: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """digits int64 [..., F] -> codes int64 [...]."""
    codes = torch.zeros_like(digits[..., 0])
    for i in reversed(range(len(factors))):
        codes = codes * factors[i] + digits[..., i]
    return codes
