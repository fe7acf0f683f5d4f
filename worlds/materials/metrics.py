"""How far predicted maps are from true ones. All on maps as pictures store them (albedo in sRGB, normals in [0, 1])."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from terrarium.kernels import ssim
from terrarium.worlds.materials.brdf import COLUMNS, ROWS, environment
from terrarium.worlds.materials.cameras import cameras
from terrarium.worlds.materials.colour import linear_to_srgb
from terrarium.worlds.materials.maps import MAPS, NORMAL, to_pixels, unit
from terrarium.worlds.materials.render import Lights, render

LEAST_ERROR = 1e-6  # mean squared; a PSNR of 60
NEW_LIGHTS = ((2.5, 0.0, 2.5), (0.0, 2.5, 2.5), (-2.0, -2.0, 2.0), (0.5, -0.5, 4.0))
Figures = dict[str, dict[str, float]]


def map_figures(found: Tensor, true: Tensor) -> Figures:
    """{map: {psnr, rmse, mae, ssim}} of maps [B, 8, H, W], the mean over materials of each one's own."""
    x, y = to_pixels(found), to_pixels(true)
    return {name: picture_figures(x[:, channels], y[:, channels]) for name, channels in MAPS.items()}


def picture_figures(found: Tensor, true: Tensor) -> dict[str, float]:
    """{psnr, rmse, mae, ssim} of one map of materials, [B, C, H, W] in [0, 1]."""
    squared = (found - true).square().mean((1, 2, 3))
    return {
        "psnr": float(psnr(squared).mean()),
        "rmse": float(squared.sqrt().mean()),
        "mae": float((found - true).abs().mean()),
        "ssim": float(ssim(found.contiguous(), true.contiguous(), data_range=1.0).mean()),
    }


def psnr(squared: Tensor) -> Tensor:
    """Of mean squared errors of pictures in [0, 1], dB, at most 60."""
    return -10 * squared.clamp(min=LEAST_ERROR).log10()


def normal_angles_deg(found: Tensor, true: Tensor) -> Tensor:
    """Between the normals of maps [B, 8, H, W] -> [B, H, W]."""
    cosine = (unit(found[:, NORMAL]) * unit(true[:, NORMAL])).sum(1)
    return torch.rad2deg(cosine.clamp(-1, 1).acos())


def angle_figures(angles: Sequence[Tensor]) -> dict[str, float]:
    """{mean, median, p90, p95} in degrees over all pixels."""
    every = torch.cat([each.flatten() for each in angles]).double()
    quantiles = {"median": 0.5, "p90": 0.9, "p95": 0.95}
    ordered = every.sort().values
    at = {name: float(ordered[round(q * (len(ordered) - 1))]) for name, q in quantiles.items()}
    return {"mean": float(every.mean()), **at}


def rerender_psnr(found: Tensor, true: Tensor) -> float:
    """PSNR of planes of both materials [B, 8, H, W] lit from four sides in turn, directions that no view had."""
    return lit_psnr(lit(found), lit(true))


def lit_psnr(found: Tensor, true: Tensor) -> float:
    """Of pictures [lights, B, 3, H, W]."""
    return float(psnr((found - true).square().mean((2, 3, 4))).mean())


def lit(maps: Tensor) -> Tensor:
    """Under each of the new lights, [lights, B, 3, H, W]."""
    return torch.stack([relit(maps, light) for light in NEW_LIGHTS])


def relit(maps: Tensor, light: tuple[float, float, float]) -> Tensor:
    """Planes of materials [B, 8, H, W] under a lamp at `light` and a dim sky, in sRGB [B, 3, H, H]."""
    count = len(maps)
    around = environment(torch.full((count, 3, ROWS, COLUMNS), 0.3))
    lights = Lights(torch.tensor(light).expand(count, 1, 3), torch.full((count, 1, 3), 30.0), around)
    eye = cameras(torch.tensor([[15.0, 30.0, 4.0]]).expand(count, 3))
    return linear_to_srgb(render(maps, "plane", eye, lights, maps.shape[-1]))
