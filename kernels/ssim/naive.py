"""Structural similarity as its equations read (Wang et al. 2004, doi:10.1109/TIP.2003.819861, equation 13).

    S = (2 mx my + C1) (2 vxy + C2) / ((mx^2 + my^2 + C1) (vx + vy + C2))     C1 = (0.01 L)^2, C2 = (0.03 L)^2

with means m, variances v and covariance vxy under a Gaussian window of 11 x 11 and sigma 1.5, over the windows that
lie wholly inside the picture; L is the range of the data. The value of a picture is the mean over windows and channels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

WINDOW = 11
SIGMA = 1.5


def ssim(x: torch.Tensor, y: torch.Tensor, data_range: float) -> torch.Tensor:
    """x, y: [B, C, H, W], H and W >= 11, values over a range of `data_range` -> [B]; fp16 and bf16 give fp32."""
    with torch.autocast(x.device.type, enabled=False):  # variances in bf16 would be noise
        return _map(x, y, data_range)[0].mean(dim=(1, 2, 3))


def ssim_backward(
    grad: torch.Tensor, x: torch.Tensor, y: torch.Tensor, data_range: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """grad: dL/dssim [B] -> dL/dx, dL/dy."""
    s, (a1, a2, b1, b2), (mx, my) = _map(x, y, data_range)
    scale = (grad.to(s.dtype) / s[0].numel()).view(-1, 1, 1, 1)
    # Of S by the window's raw moments E[xy], E[x^2] (the same as by E[y^2]), E[x] and E[y].
    dxy = scale * 2 * a1 / (b1 * b2)
    dxx = scale * -s / b2
    cross = scale * 2 * (a2 - a1) / (b1 * b2)
    along = scale * 2 * s * (1 / b2 - 1 / b1)
    spread_xy, spread_xx = spread(dxy), spread(dxx)
    dx = spread(cross * my + along * mx) + 2 * x * spread_xx + y * spread_xy
    dy = spread(cross * mx + along * my) + 2 * y * spread_xx + x * spread_xy
    return dx.to(x.dtype), dy.to(y.dtype)


def constants(data_range: float) -> tuple[float, float]:
    """C1 and C2, which keep S finite where a window is black or flat."""
    return (0.01 * data_range) ** 2, (0.03 * data_range) ** 2


def gaussian_window() -> list[float]:
    """The 11 weights along one axis; they add up to 1."""
    weights = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
    return [w / math.fsum(weights) for w in weights]


def _map(
    x: torch.Tensor, y: torch.Tensor, data_range: float
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], tuple[torch.Tensor, torch.Tensor]]:
    """-> S [B, C, H - 10, W - 10]; its four factors (numerators, then denominators); the two means."""
    wide = torch.promote_types(x.dtype, torch.float32)
    x, y = x.to(wide), y.to(wide)
    c1, c2 = constants(data_range)
    mx, my = blur(x), blur(y)
    variances = blur(x * x + y * y) - mx * mx - my * my
    covariance = blur(x * y) - mx * my
    a1, a2 = 2 * mx * my + c1, 2 * covariance + c2
    b1, b2 = mx * mx + my * my + c1, variances + c2
    return a1 * a2 / (b1 * b2), (a1, a2, b1, b2), (mx, my)


def blur(x: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> the weighted mean under every whole window, [B, C, H - 10, W - 10]."""
    channels = x.shape[1]
    weights = x.new_tensor(gaussian_window()).expand(channels, 1, -1)
    across = F.conv2d(x, weights[:, :, None, :], groups=channels)
    return F.conv2d(across, weights[:, :, :, None], groups=channels)


def spread(m: torch.Tensor) -> torch.Tensor:
    """The transpose of `blur`: [B, C, H - 10, W - 10] -> [B, C, H, W]."""
    return blur(F.pad(m, (WINDOW - 1,) * 4))
