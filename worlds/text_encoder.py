"""The words of a caption as vectors: a small transformer, trained with the diffusion model that it serves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.blocks.structures.captions import words

LONGEST = 32  # words of a caption
PAD, BEGIN = 0, 1  # a caption without words is BEGIN alone
FIRST_WORD = 2


class Captions(nn.Module):
    """Words of captions to vectors of `width`."""

    def __init__(self, vocabulary: Sequence[str], width: int) -> None:
        super().__init__()
        self.vocabulary = tuple(vocabulary)
        self.number = {word: FIRST_WORD + i for i, word in enumerate(self.vocabulary)}
        self.embedding = nn.Embedding(FIRST_WORD + len(self.vocabulary), width, padding_idx=PAD)
        self.places = nn.Parameter(0.02 * torch.randn(LONGEST + 1, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, F.gelu, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, nn.LayerNorm(width), enable_nested_tensor=False)

    def numbers(self, caption: str) -> list[int]:
        """Of the words that are known, behind BEGIN; others are passed over.

        ValueError where a caption has words but none that is known, or too many.
        """
        said = words(caption)
        known = [self.number[word] for word in said if word in self.number]
        if said and not known:
            expected = ", ".join(self.vocabulary)
            raise ValueError(f"{caption!r} has no word that the model knows: expected some of {expected}")
        if len(known) > LONGEST:
            raise ValueError(f"{caption!r} has {len(known)} words that the model knows: expected at most {LONGEST}")
        return [BEGIN, *known]

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """int64 [B, L], L as the longest of them needs, filled up with PAD."""
        return padded([self.numbers(caption) for caption in captions])

    def texts(self, tokens: Tensor) -> list[str]:
        """The known words of captions that `tokens` [B, L] hold."""
        return [" ".join(self.vocabulary[i - FIRST_WORD] for i in row if i >= FIRST_WORD) for row in tokens.tolist()]

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """tokens [B, L] -> states [B, L, C], which of them are words bool [B, L], their mean [B, C]."""
        there = tokens != PAD
        x = self.embedding(tokens) + self.places[: tokens.shape[1]]
        states = self.layers(x, src_key_padding_mask=~there)
        weight = there.to(states).unsqueeze(-1)
        return states, there, (states * weight).sum(1) / weight.sum(1)


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])
