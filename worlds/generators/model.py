"""The generator: a diffusion transformer over block worlds, given a caption.

With z = alpha_t x + sigma_t eps and x the codes of a world (codes.py), what the network says is one of

x0    how likely each type of block is at each voxel, from which the clean world is the mean of the codes (score
      interpolation, Dieleman et al. 2022, arXiv:2211.15089). The network gives what follows from the surroundings, and
      Bayes' rule adds what the voxel's own noisy value says, so fine detail need not pass through narrow tokens
v     alpha eps - sigma x (Salimans & Ho 2022, arXiv:2202.00512)
flow  eps - x, on straight paths alpha = 1 - sigma (Lipman et al. 2023, arXiv:2210.02747)

Tokens are cells of `patch`^3 voxels (Peebles & Xie 2023, arXiv:2212.09748). Time and the pooled caption scale and shift
every block through one layer for all of them (PixArt-alpha, arXiv:2310.00426); every other block attends to the words.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.checkpoint import build, load_checkpoint
from terrarium.worlds.device import default_device
from terrarium.worlds.generators.codes import CHANNELS, encode, evidence, expected, mixture
from terrarium.worlds.generators.rewards import Scene
from terrarium.worlds.noise_schedule import cosine_alphabar
from terrarium.worlds.text_encoder import Captions
from terrarium.worlds.training.lora import linears
from terrarium.worlds.voxels.camera import Camera

STEPS = 1000  # of the noise schedule
KIND = "generator"


class Said(NamedTuple):
    """Encoded captions: a vector a word [B, L, T], which of them are words [B, L], and their mean [B, T]."""

    states: Tensor
    there: Tensor
    pooled: Tensor

    def repeat(self, count: int) -> Said:
        """Each caption `count` times, one after the other."""
        return Said(*(part.repeat_interleave(count, 0) for part in self))


class Generator(nn.Module):
    """`size`: blocks along each side of its worlds. ValueError where `patch` does not divide it, or `heads` `width`."""

    alpha: Tensor  # [STEPS]
    sigma: Tensor  # [STEPS]

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        size: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        text: int,
        prediction: str,
    ) -> None:
        super().__init__()
        if size % patch or width % heads:
            raise ValueError(f"patch {patch} of size {size}, {heads} heads of width {width}: expected divisors")
        self.size, self.patch, self.prediction = size, patch, prediction
        self.captions = Captions(vocabulary, text)
        numbers = CHANNELS * patch**3
        self.into = nn.Linear(numbers, width)
        self.places = nn.Parameter(0.02 * torch.randn((size // patch) ** 3, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.pooled = nn.Linear(text, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, heads, text if i % 2 == 0 else None) for i in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.last = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, numbers)
        for layer in (self.modulation, self.last, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        alpha, sigma = levels(prediction)
        self.register_buffer("alpha", alpha, persistent=False)
        self.register_buffer("sigma", sigma, persistent=False)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of a world's codes."""
        return CHANNELS, self.size, self.size, self.size

    def layers(self) -> Collection[nn.Module]:
        """Those that adapters stand beside (lora.py): the linear ones of the blocks, and the last one."""
        return [self.out, *linears(self.blocks)]

    def say(self, captions: Sequence[str]) -> Said:
        """ValueError where a caption has words but none that is known, or too many."""
        return self.read(self.captions.tokens(captions).to(self.alpha.device))

    def read(self, tokens: Tensor) -> Said:
        """tokens int64 [B, L]."""
        return Said(*self.captions(tokens))

    def forward(self, z: Tensor, t: Tensor, said: Said) -> Tensor:
        """z [B, CHANNELS, S, S, S], t int64 [B] in [0, STEPS) -> what it predicts, [B, CHANNELS, S, S, S]."""
        x = self.into(cells(z, self.patch)) + self.places
        given = F.silu(self.time(waves(t, self.modulation.in_features)) + self.pooled(said.pooled))
        modulation = self.modulation(given).unflatten(1, (6, -1))
        for block in self.blocks:
            x = block(x, modulation, said)
        scale, shift = self.last(given).unsqueeze(1).chunk(2, dim=-1)
        return voxels(self.out(self.norm(x) * (1 + scale) + shift), self.patch, self.size).float()

    def guided(self, z: Tensor, t: Tensor, said: Said, others: Said | None, cfg: float) -> Tensor:
        """What it predicts by classifier-free guidance, `cfg` times as far from `others` as `said`; of x0 these are
        logits, so that the result is still a distribution."""
        if others is None or cfg == 1:
            return self(z, t, said)
        both = together(said, others)
        toward, away = self(z.repeat(2, 1, 1, 1, 1), t.repeat(2), both).chunk(2)
        return away + cfg * (toward - away)

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma of t [B], [B, 1, 1, 1, 1] each."""
        return self.alpha[t].view(-1, 1, 1, 1, 1), self.sigma[t].view(-1, 1, 1, 1, 1)

    def clean(self, predicted: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """The clean world x that a prediction at z means, [B, CHANNELS, S, S, S]."""
        alpha, sigma = self.levels(t)
        if self.prediction == "x0":
            return expected(F.softmax(predicted + evidence(z, alpha, sigma), dim=1))
        return alpha * z - sigma * predicted if self.prediction == "v" else z - sigma * predicted

    def scene(self, clean: Tensor, cameras: Sequence[Camera], captions: Sequence[str]) -> Scene:
        """What rewards see of clean worlds."""
        return Scene(*mixture(clean), cameras, captions)

    def loss(self, ids: Tensor, t: Tensor, noise: Tensor, said: Said) -> Tensor:
        """Of worlds ids uint8 [B, S, S, S] at times t [B], [B]: the cross-entropy in nats a voxel of x0, the mean
        squared error of v and flow."""
        x = encode(ids)
        alpha, sigma = self.levels(t)
        z = alpha * x + sigma * noise
        predicted = self(z, t, said)
        if self.prediction == "x0":
            return F.cross_entropy(predicted + evidence(z, alpha, sigma), ids.long(), reduction="none").mean((1, 2, 3))
        wanted = alpha * noise - sigma * x if self.prediction == "v" else noise - x
        return (predicted - wanted).square().mean((1, 2, 3, 4))


class Block(nn.Module):
    """Attention among the cells, to the words where `text` is their width, and a feed-forward layer."""

    def __init__(self, width: int, heads: int, text: int | None) -> None:
        super().__init__()
        self.heads = heads
        self.offset = nn.Parameter(torch.zeros(6, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.words = Words(width, heads, text) if text is not None else None
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, modulation: Tensor, said: Said) -> Tensor:
        """x [B, N, W], modulation [B, 6, W]: scale, shift and gate of either part."""
        scale, shift, gate, scale_2, shift_2, gate_2 = (modulation + self.offset).unsqueeze(2).unbind(1)
        q, k, v = split(self.qkv(self.norms[0](x) * (1 + scale) + shift), 3, self.heads)
        x = x + gate * self.mix(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        if self.words is not None:
            x = x + self.words(x, said)
        return x + gate_2 * self.feed(self.norms[1](x) * (1 + scale_2) + shift_2)


class Words(nn.Module):
    """Attention from cells to the words of a caption."""

    def __init__(self, width: int, heads: int, text: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.q, self.kv, self.mix = nn.Linear(width, width), nn.Linear(text, 2 * width), nn.Linear(width, width)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x: Tensor, said: Said) -> Tensor:
        (q,) = split(self.q(self.norm(x)), 1, self.heads)
        k, v = split(self.kv(said.states), 2, self.heads)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=said.there[:, None, None])
        return self.mix(seen.transpose(1, 2).flatten(2))


def split(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """[B, N, parts W] -> parts times [B, heads, N, W / heads]."""
    return x.unflatten(2, (parts, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


def cells(z: Tensor, patch: int) -> Tensor:
    """[B, C, S, S, S] -> [B, (S/p)^3, C p^3]."""
    b, c, s = z.shape[:3]
    n = s // patch
    parts = z.reshape(b, c, n, patch, n, patch, n, patch)
    return parts.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(b, n**3, c * patch**3)


def voxels(x: Tensor, patch: int, size: int) -> Tensor:
    """The inverse of `cells`."""
    n = size // patch
    parts = x.reshape(len(x), n, n, n, -1, patch, patch, patch)
    return parts.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(len(x), -1, size, size, size)


def waves(t: Tensor, width: int) -> Tensor:
    """Times [B] as sines and cosines [B, width] (Vaswani et al. 2017, arXiv:1706.03762)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=t.device) / (width // 2))
    turns = t[:, None].float() * rates
    return torch.cat([turns.sin(), turns.cos()], dim=1)


def together(first: Said, second: Said) -> Said:
    """As one batch; the shorter captions are filled up."""
    longest = max(first.there.shape[1], second.there.shape[1])

    def filled(said: Said) -> Said:
        more = longest - said.there.shape[1]
        return Said(F.pad(said.states, (0, 0, 0, more)), F.pad(said.there, (0, more)), said.pooled)

    return Said(*(torch.cat(pair) for pair in zip(filled(first), filled(second), strict=True)))


def levels(prediction: str) -> tuple[Tensor, Tensor]:
    """alpha and sigma of every time, [STEPS] each: the cosine schedule, or the straight path of `flow`."""
    if prediction == "flow":
        sigma = torch.arange(1, STEPS + 1) / (STEPS + 1)
        return 1 - sigma, sigma
    alphabar = cosine_alphabar(STEPS)
    return alphabar.sqrt(), (1 - alphabar).sqrt()


def load_generator(folder: Path) -> tuple[Generator, dict[str, Any]]:
    """-> generator in eval mode on the default device, manifest. ValueError for any other kind of folder."""
    tensors, manifest = load_checkpoint(folder, KIND)
    wide = {k: v.float() for k, v in tensors.items()}  # shipped ones are stored in bf16
    made = build(lambda: Generator(manifest["vocabulary"], **manifest["model"]), wide, folder)
    return made.to(default_device()).eval().requires_grad_(False), manifest


def shipped_generator() -> Path:
    """The weights that come with the project."""
    return Path(str(files("terrarium.worlds.generators") / "shipped"))
