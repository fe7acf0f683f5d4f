"""`grid_sample` in operations that Inductor fuses with what stands around them, for the compiled live step.

Inductor's own decomposition gathers single numbers; ATen's operator, called from compiled code, wants its inputs laid
out for it. Here pixels are rows: each is gathered with all its channels. The equations are ATen's (padding by the
border).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

Tap = tuple[torch.Tensor, torch.Tensor]
A = -0.75  # of the cubic convolution (Keys 1981), as ATen has it
BILINEAR, BICUBIC, BORDER = 0, 2, 1


def grid_sampler_2d(
    pictures: torch.Tensor,
    grid: torch.Tensor,
    interpolation_mode: int = BILINEAR,
    padding_mode: int = BORDER,
    align_corners: bool = False,
) -> torch.Tensor:
    """pictures [N, C, H, W] at grid [N, h, w, 2] (x, y; -1 and 1 are the edges) -> [N, C, h, w]."""
    assert padding_mode == BORDER and interpolation_mode in (BILINEAR, BICUBIC), (padding_mode, interpolation_mode)
    n, c, height, width = pictures.shape
    x, y = (_pixels(at, size, align_corners) for at, size in zip(grid.unbind(-1), (width, height), strict=True))
    rows = pictures.permute(0, 2, 3, 1).reshape(n * height * width, c)
    first = torch.arange(n, device=grid.device).view(n, 1, 1) * (height * width)
    taps = _linear if interpolation_mode == BILINEAR else _cubic

    def along(line: torch.Tensor) -> torch.Tensor:
        """Of the pixels in that line of each picture [N, h, w] -> [N, h, w, C]."""
        return _weigh((rows[first + line * width + column], weight) for column, weight in taps(x, width))

    found = _weigh((along(line), weight) for line, weight in taps(y, height))
    return found.permute(0, 3, 1, 2).contiguous()


def _weigh(parts: Iterable[Tap]) -> torch.Tensor:
    """Values [N, h, w, C] and their weights [N, h, w] -> their sum."""
    first, *rest = (values * weight.unsqueeze(-1) for values, weight in parts)
    return sum(rest, first)


def _pixels(at: torch.Tensor, size: int, align_corners: bool) -> torch.Tensor:
    return (at + 1) * ((size - 1) / 2) if align_corners else ((at + 1) * size - 1) / 2


def _linear(at: torch.Tensor, size: int) -> list[Tap]:
    at = at.clamp(0, size - 1)
    low = at.floor()
    t = at - low
    return [(low.long(), 1 - t), ((low + 1).clamp(max=size - 1).long(), t)]


def _cubic(at: torch.Tensor, size: int) -> list[Tap]:
    low = at.floor()
    t = at - low
    weights = [_outer(t + 1), _inner(t), _inner(1 - t), _outer(2 - t)]
    return [((low + i - 1).clamp(0, size - 1).long(), w) for i, w in enumerate(weights)]


def _inner(t: torch.Tensor) -> torch.Tensor:
    return ((A + 2) * t - (A + 3)) * t * t + 1


def _outer(t: torch.Tensor) -> torch.Tensor:
    return ((A * t - 5 * A) * t + 8 * A) * t - 4 * A
