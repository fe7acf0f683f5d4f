"""What the tests of every operator share: the tolerance table, odd sizes, memory layouts."""

from __future__ import annotations

import torch

ODD = (1, 7, 17, 33, 130)
# Against the same equation in float64 on the rounded inputs: absolute + relative of each value ...
VALUES = {torch.float32: (1e-6, 1e-5), torch.float16: (1e-3, 2**-10), torch.bfloat16: (4e-3, 2**-8)}
# ... and of a gradient as a whole, |got - expected| / |expected|.
GRADIENTS = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 1e-2}
LAYOUTS = ("channels_last", "contiguous", "strided")


def assert_values(got: torch.Tensor, expected: torch.Tensor, what: str = "") -> None:
    """`expected` in float64; the tolerance is that of `got.dtype`."""
    absolute, relative = VALUES[got.dtype]
    assert got.shape == expected.shape
    torch.testing.assert_close(
        got.double(), expected, atol=absolute, rtol=relative, msg=lambda text: f"{what} {got.dtype}: {text}"
    )


def assert_gradient(got: torch.Tensor | None, expected: torch.Tensor | None, what: str = "") -> None:
    """By the relative norm; `expected` in float64."""
    assert got is not None and expected is not None, f"{what}: no gradient"
    assert got.shape == expected.shape
    assert torch.isfinite(got).all(), f"{what}: not finite"
    error = (got.double() - expected).norm() / expected.norm().clamp(min=1e-12)
    assert error <= GRADIENTS[got.dtype], f"{what} {got.dtype}: relative norm of the error {error:.2e}"


def laid_out(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values [B, C, H, W] in another memory layout; "strided" is a slice of something larger."""
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "strided":
        larger = torch.full([n + 3 for n in x.shape], float("nan"), dtype=x.dtype, device=x.device)
        view = larger[tuple(slice(1, 1 + n) for n in x.shape)]
        return view.copy_(x)
    return x.contiguous()
