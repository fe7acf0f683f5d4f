"""Codes of a frame: what logits say of them, and how they are drawn.

Shapes as in dynamics.py: B batch, F factors of a code, K = sum of the factors' levels, h x w the grid of codes.
`factors` is the levels of each (quantise.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from terrarium.kernels import cpu, draw_codes, soft_embed
from terrarium.kernels.codes import join_factors, largest, naive
from terrarium.worlds.precision import as_taken, wide

TOKEN = 32  # numbers that embed a code
ROUNDS = 2  # in which the codes of a frame are chosen
CHANCE = 0.75  # in which of them come first: the surest alone are the dullest, and whole frames go flat
DOUBT = 0.02  # bounds what a wrong guess can cost: without it training starts by learning never to trust one


def likeliest(logits: torch.Tensor, factors: list[int]) -> torch.Tensor:
    """logits [N, K, h, w] -> codes int64 [N, h, w]."""
    digits = [largest(part) for part in logits.split(factors, dim=1)]
    return join_factors(torch.stack(digits, dim=-1), factors)


@torch.no_grad()
def sample(logits: torch.Tensor, temperature: torch.Tensor | float, factors: list[int]) -> torch.Tensor:
    """logits [B, K, h, w], temperature [B] or one number; 0 is greedy -> codes int64 [B, h, w]."""
    logits = wide(logits)
    return naive.sample(logits, exponential(logits, factors), _heat(logits, temperature), factors)


@torch.no_grad()
def choose(
    refine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    codes: torch.Tensor,
    chosen: torch.Tensor,
    temperature: torch.Tensor | float,
    factors: list[int],
) -> torch.Tensor:
    """`codes` int64 [B, h, w] where `chosen` bool [B, h, w], and the others drawn -> codes int64 [B, h, w].

    `refine(codes, chosen)` gives logits [B, K, h, w]; temperature [B] or one number, 0 is greedy. The codes are drawn
    in ROUNDS rounds: of each the surest are kept, give or take a chance that grows with the temperature, and the rest
    are drawn again knowing them.
    """
    left = (~chosen).flatten(1).sum(dim=1, keepdim=True)
    for done in range(ROUNDS):
        refined = wide(refine(codes, chosen))
        heat = _heat(refined, temperature)
        codes, doubt = draw_codes(refined, exponential(refined, factors), heat, codes, chosen, factors)
        doubt, chance = doubt.flatten(1), CHANCE * heat.view(-1, 1)
        surest = (doubt + chance * gumbel(doubt)).masked_fill(chosen.flatten(1), -torch.inf)
        keep = surest.shape[1] - left * (ROUNDS - 1 - done) // ROUNDS
        chosen = surest.argsort(dim=1).argsort(dim=1).lt(keep).view_as(chosen)
    return codes


def soft_latents(logits: torch.Tensor, tables: list[torch.Tensor]) -> torch.Tensor:
    """logits [N, K, h, w] and a quantiser's tables -> latents [N, D, h, w] of codes drawn softly (Gumbel softmax)."""
    latents = []
    for part, table in zip(wide(logits).split([len(t) for t in tables], dim=1), tables, strict=True):
        rows = part.permute(0, 2, 3, 1).flatten(0, 2)
        seed = torch.randint(2**31, (), device=rows.device)
        latents.append(soft_embed(rows, table, seed).view(*part.shape[:1], *part.shape[2:], -1))
    return torch.cat(latents, dim=-1).permute(0, 3, 1, 2)


def doubted(logits: torch.Tensor, factors: list[int]) -> torch.Tensor:
    """Log-odds of a guess that may be wrong: each factor's distribution with a floor under it, [N, K, h, w]."""
    parts = wide(logits).split(factors, dim=1)
    return torch.cat([(part.softmax(dim=1) + DOUBT).log() for part in parts], dim=1)


class Refine(nn.Module):
    """Logits anew where some codes are chosen already, so that cells drawn in one frame agree with each other.

    Trained on codes hidden at random, as in MaskGIT (Chang et al. 2022, arXiv:2202.04200).
    """

    def __init__(self, channels: int, factors: list[int]) -> None:
        super().__init__()
        self.factors = factors
        self.near = nn.Conv2d(sum(factors) + TOKEN + 1, channels, 3, padding=1)
        self.far = nn.Conv2d(channels, channels, 3, padding=2, dilation=2)
        self.out = nn.Conv2d(channels, sum(factors), 1)
        for p in self.out.parameters():
            nn.init.zeros_(p)

    def forward(self, logits: torch.Tensor, codes: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """logits [N, K, h, w], embedded codes [N, h, w, TOKEN], chosen bool [N, h, w] -> logits [N, K, h, w]."""
        sure = chosen.unsqueeze(-1).to(logits.dtype)
        known = [x.permute(0, 3, 1, 2) for x in (codes * sure, sure)]
        odds = [part.log_softmax(dim=1) for part in logits.split(self.factors, dim=1)]
        x = cpu.silu(self.near(cat_channels([*odds, *known])))
        return logits + self.out(cpu.silu(x + self.far(x)))


def cat_channels(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """[N, C_i, h, w] each -> [N, sum of C_i, h, w] as a convolution takes it here. With the programs of kernels/cpu
    it is channels-last: `torch.cat` of parts in different memory formats is not, and is copied by the convolution."""
    taken = [as_taken(x) for x in parts]
    if cpu.used(*taken):
        return torch.cat([x.permute(0, 2, 3, 1) for x in taken], dim=-1).permute(0, 3, 1, 2)
    return torch.cat(taken, dim=1)


def _heat(logits: torch.Tensor, temperature: torch.Tensor | float) -> torch.Tensor:
    """[B], one a row of the logits."""
    return torch.as_tensor(temperature, dtype=logits.dtype, device=logits.device).expand(logits.shape[0])


def gumbel(like: torch.Tensor) -> torch.Tensor:
    """Standard Gumbel noise of a tensor's shape; the same in every memory format."""
    return -torch.empty(like.shape, dtype=like.dtype, device=like.device).exponential_().log()


def exponential(logits: torch.Tensor, factors: list[int]) -> torch.Tensor:
    """Standard exponential noise for logits [B, K, h, w], a factor after the other; the same in every memory format."""
    b, _, h, w = logits.shape
    parts = [torch.empty(b, n, h, w, dtype=logits.dtype, device=logits.device).exponential_() for n in factors]
    return torch.cat(parts, dim=1)
