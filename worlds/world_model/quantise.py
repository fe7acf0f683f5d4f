"""Two quantisers behind one interface: latents [B, D, h, w] -> codes in [0, K), and codes -> latents.

`ema_vq`: L2-normalised EMA codebook (van den Oord et al. 2017, arXiv:1711.00937, appendix A.1), k-means start,
long-dead codes restarted together with their EMA buffers. `fsq`: finite scalar quantisation (Mentzer et al. 2023,
arXiv:2309.15505). `factors` says how a code splits: [K] for ema_vq, the levels for fsq; the dynamics predicts each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from terrarium.kernels import vector_quantize
from terrarium.kernels.codes import join_factors, split_factors
from terrarium.worlds.precision import in_full, wide
from terrarium.worlds.world_model.kinds import TokenizerConfig

SHARPNESS = 4.0  # of log-odds made from distances to levels or codes


class FSQ(nn.Module):
    levels: torch.Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.factors = list(levels)
        self.dim = len(levels)
        # Not [1, D, 1, 1]: channels_last would change its strides, and DistributedDataParallel could not broadcast it.
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """latents [B, D, h, w] -> quantised (straight-through) [B, D, h, w], codes int64 [B, h, w], loss (0)."""
        latents = wide(latents)
        scaled = (torch.sigmoid(latents) * (self.levels - 1)).clamp(min=0)
        digits = scaled.round()
        quantised = self._centre(scaled + (digits - scaled).detach())
        return quantised, join_factors(digits.long().movedim(1, -1), self.factors), latents.new_zeros(())

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        digits = split_factors(codes, self.factors).movedim(-1, 1)
        return self._centre(digits.to(self.levels.dtype))

    def logits(self, latents: torch.Tensor) -> torch.Tensor:
        """latents [N, D, h, w] -> log-odds of each factor's levels, [N, K, h, w]: Gaussian about the level meant."""
        scaled = torch.sigmoid(wide(latents)) * (self.levels - 1)
        parts = [
            s - torch.arange(n, device=s.device).view(1, -1, 1, 1)
            for s, n in zip(scaled.split(1, 1), self.factors, strict=True)
        ]
        return -SHARPNESS * torch.cat(parts, dim=1) ** 2

    def tables(self) -> list[torch.Tensor]:
        """What each factor's levels add to the latents: [n, d] a factor, the d summing to `dim`."""
        rows = self.levels.flatten().long().tolist()
        return [torch.linspace(-1, 1, n, device=self.levels.device).unsqueeze(1) for n in rows]

    def _centre(self, digits: torch.Tensor) -> torch.Tensor:
        return digits / (self.levels - 1) * 2 - 1


class EMAVQ(nn.Module):
    """Codebook [K, D] of unit vectors, moved by exponential averages of the latents that chose them."""

    codebook: torch.Tensor
    ema_count: torch.Tensor
    ema_sum: torch.Tensor
    unused: torch.Tensor
    started: torch.Tensor

    def __init__(self, codes: int, dim: int, *, decay: float = 0.99, dead_after: int = 200, beta: float = 0.25) -> None:
        super().__init__()
        self.factors = [codes]
        self.dim, self.decay, self.dead_after, self.beta = dim, decay, dead_after, beta
        self.register_buffer("codebook", F.normalize(torch.randn(codes, dim), dim=1))
        self.register_buffer("ema_count", torch.ones(codes))
        self.register_buffer("ema_sum", self.codebook.clone())
        self.register_buffer("unused", torch.zeros(codes, dtype=torch.int64))  # batches since a code was chosen
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """latents [B, D, h, w] -> quantised (straight-through) [B, D, h, w], codes int64 [B, h, w], commitment loss."""
        z = F.normalize(wide(latents), dim=1)
        flat = z.movedim(1, -1).reshape(-1, self.dim)
        if self.training and not self.started:
            with in_full(flat):
                self._kmeans(flat.detach())
        codes, quantised = vector_quantize(flat.detach(), self.codebook)  # in fp32, under autocast too
        quantised = quantised.view(*z.shape[:1], *z.shape[2:], self.dim).movedim(-1, 1)
        loss = self.beta * F.mse_loss(z, quantised) * self.dim
        if self.training:
            self._update(flat.detach(), codes)
        codes = codes.view(z.shape[0], *z.shape[2:])
        return z + (quantised - z).detach(), codes, loss

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return self.codebook[codes].movedim(-1, 1)

    def logits(self, latents: torch.Tensor) -> torch.Tensor:
        """latents [N, D, h, w] -> log-odds of the codes, [N, K, h, w], by distance to them."""
        z = F.normalize(wide(latents), dim=1)
        with in_full(z):
            return 2 * SHARPNESS * torch.einsum("ndhw,kd->nkhw", z, self.codebook)

    def tables(self) -> list[torch.Tensor]:
        """See `FSQ.tables`: one factor, the codebook itself."""
        return [self.codebook]

    @torch.no_grad()
    def _kmeans(self, flat: torch.Tensor, rounds: int = 10) -> None:
        k = len(self.codebook)
        n, device = len(flat), flat.device
        pick = torch.randint(n, (k,), device=device) if n < k else torch.randperm(n, device=device)[:k]
        centres = flat[pick].clone()
        for _ in range(rounds):
            choice = (flat @ centres.T).argmax(dim=1)
            sums = torch.zeros_like(centres).index_add_(0, choice, flat)
            count = torch.bincount(choice, minlength=k)
            empty = count == 0
            sums[empty] = flat[torch.randint(n, (int(empty.sum()),), device=device)]
            centres = F.normalize(sums, dim=1)
        self.codebook.copy_(centres)
        self.ema_sum.copy_(centres)
        self.ema_count.fill_(1.0)
        self.started.fill_(True)

    @torch.no_grad()
    def _update(self, flat: torch.Tensor, codes: torch.Tensor) -> None:
        count = torch.bincount(codes, minlength=len(self.codebook)).to(flat.dtype)
        sums = torch.zeros_like(self.codebook).index_add_(0, codes, flat)
        self.ema_count.lerp_(count, 1 - self.decay)
        self.ema_sum.lerp_(sums, 1 - self.decay)
        self.unused.add_(1).masked_fill_(count > 0, 0)
        dead = self.unused >= self.dead_after
        if dead.any():
            fresh = flat[torch.randint(len(flat), (int(dead.sum()),), device=flat.device)]
            self.ema_sum[dead], self.ema_count[dead], self.unused[dead] = fresh, 1.0, 0
        self.codebook.copy_(F.normalize(self.ema_sum, dim=1))


def make_quantiser(config: TokenizerConfig) -> FSQ | EMAVQ:
    return FSQ(tuple(config.levels)) if config.quantiser == "fsq" else EMAVQ(config.codes, config.code_dim)
