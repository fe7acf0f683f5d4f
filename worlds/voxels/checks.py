"""What makes the renderer right, as figures: each backend against its equations, the others and the ray-caster.

python -m terrarium.worlds.voxels.checks            a line a check; exit status 1 if one does not hold
python -m terrarium.worlds.voxels.checks --json     one JSON line a check
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from terrarium.kernels.march import naive
from terrarium.kernels.op import INTERPRET
from terrarium.worlds.blocks import raycast
from terrarium.worlds.blocks.palette import SKY
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.device import default_device
from terrarium.worlds.voxels import peel
from terrarium.worlds.voxels.camera import Camera, look_at, orbit
from terrarium.worlds.voxels.render import BACKENDS, Picture, of_blocks, render

ON_GPU = ("triton", "nvdiffrast")
ROUNDED = ("nvdiffrast",)  # a rasteriser moves corners: pixels next to an edge do not count
MARGIN = 1 / 8  # of a pixel, twice as far as nvdiffrast moves them


def runs_here(backend: str) -> bool:
    """Triton's programs on a GPU, or in its interpreter; nvdiffrast on a GPU where it is installed."""
    on_gpu = default_device().type == "cuda"
    return {"triton": INTERPRET or on_gpu, "nvdiffrast": on_gpu and peel.installed()}.get(backend, True)


HERE = tuple(filter(runs_here, BACKENDS))
FAST = HERE[1:]  # but for the reference
SHAPE = (5, 4, 6)
INSIDE = ((2.2, 1.3, 2.9), (5.0, 2.5, 0.4))  # an eye among the voxels of SHAPE, and where it looks


@dataclass(frozen=True)
class Check:
    """`found` must not exceed `limit`."""

    name: str
    backend: str
    found: float
    limit: float

    @property
    def holds(self) -> bool:
        return self.found <= self.limit  # and so not NaN


def soft(shape: tuple[int, int, int], dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A half-transparent grid in every colour: what an optimisation passes through."""
    generator = torch.Generator().manual_seed(seed)
    alpha = torch.sigmoid(torch.randn(shape, generator=generator, dtype=torch.float64) * 2 - 1)
    return alpha.to(dtype), torch.rand((*shape, 6, 3), generator=generator, dtype=torch.float64).to(dtype)


def cameras(shape: tuple[int, int, int], side: int) -> dict[str, Camera]:
    """From outside, from above, from inside, and one whose middle ray runs along an axis."""
    x, y, z = (float(n) for n in shape)
    return {
        "outside": orbit(shape, 30, 20, side + 2, side),
        "above": orbit(shape, 200, 70, side, side),
        "inside": look_at(*INSIDE, side, side),
        "axis": look_at((x / 2, y / 2, 3 * z), (x / 2, y / 2, 0.0), side | 1, side | 1),
    }


def draw(alpha: Tensor, colour: Tensor, camera: Camera, *, backend: str) -> Picture:
    """`render` where the backend runs; the picture is on the CPU again."""
    device = default_device().type if backend in ON_GPU else "cpu"
    picture = render(alpha.to(device), colour.to(device), camera, backend=backend)
    return Picture(*(part.cpu() for part in picture))


def counted(alpha: Tensor, camera: Camera, backend: str) -> Tensor:
    """The pixels by which a backend is judged, bool [H, W]: of those in ROUNDED, those whose ray crosses the same
    voxels through the same faces if it is moved by MARGIN. Voxels of alpha 0 do not count."""
    if backend not in ROUNDED:
        return torch.ones(camera.height, camera.width, dtype=torch.bool)
    pixel = camera.rays() / (camera.rays() @ camera.axes[2])[..., None]
    side = MARGIN * 2 * np.tan(np.radians(camera.fovy_deg) / 2) / camera.height
    found = []
    for right, up in ((0, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        moved = pixel + side * (right * camera.axes[0] + up * camera.axes[1])
        moved = torch.from_numpy(moved / np.linalg.norm(moved, axis=-1, keepdims=True)).reshape(-1, 3)
        x, y, z = alpha.shape
        along = naive.crossed((x, y, z), torch.tensor(camera.eye, dtype=torch.float64), moved)
        there = along.there & (alpha.flatten()[along.voxel] > 0)
        found.append(torch.where(there, 6 * along.voxel + along.face, -1).sort(1).values)
    same = torch.stack([(other == found[0]).all(1) for other in found[1:]]).all(0)
    return same.view(camera.height, camera.width)


def gradients(
    alpha: Tensor, colour: Tensor, camera: Camera, backend: str, pixels: Tensor | None = None
) -> tuple[Picture, Tensor, Tensor]:
    """A picture, and the gradients of a fixed random mixture of all that it holds, or that the `pixels` among it do."""
    alpha, colour = alpha.clone().requires_grad_(), colour.clone().requires_grad_()
    picture = draw(alpha, colour, camera, backend=backend)
    generator = torch.Generator().manual_seed(1)
    weights = (torch.randn(part.shape, generator=generator).to(part) for part in picture)
    chosen = ... if pixels is None else pixels
    mixed = sum((part * weight)[chosen].sum() for part, weight in zip(picture, weights, strict=True))
    assert isinstance(mixed, Tensor)
    d_alpha, d_colour = torch.autograd.grad(mixed, (alpha, colour))
    return picture, d_alpha, d_colour


def gradcheck() -> Iterator[Check]:
    """Gradients against finite differences in float64, from outside and inside."""
    for backend in HERE:
        alpha, colour = (t.requires_grad_() for t in soft((2, 2, 2), torch.float64))
        for camera in (orbit((2, 2, 2), 30, 20, 2, 3), look_at((0.9, 0.7, 1.1), (2, 2, 0), 2, 2)):
            good = torch.autograd.gradcheck(
                lambda a, c, camera=camera, backend=backend: tuple(draw(a, c, camera, backend=backend)),
                (alpha, colour),
                raise_exception=False,
            )
            yield Check("gradcheck in float64 fails", backend, float(not good), 0)


def enumeration() -> Iterator[Check]:
    """The picture against the mean over all 2^8 worlds of a tiny grid, each as likely as its voxels say."""
    alpha, colour = soft((2, 2, 2), torch.float64)
    camera = orbit((2, 2, 2), 40, 30, 7, 6)
    for backend in HERE:
        mean = torch.zeros(6, 7, 3, dtype=torch.float64)
        for world in product((0.0, 1.0), repeat=8):
            there = torch.tensor(world, dtype=torch.float64).view(2, 2, 2)
            likely = torch.where(there == 1, alpha, 1 - alpha).prod()
            mean += likely * draw(there, colour, camera, backend=backend).rgb
        error = (draw(alpha, colour, camera, backend=backend).rgb - mean).abs().max()
        yield Check("rgb against all 256 worlds, max", backend, float(error), 1e-12)


def across() -> Iterator[Check]:
    """Every fast backend against the reference in float64: pictures, and gradients where voxels are 0 and 1 too."""
    for name, camera in cameras(SHAPE, 24).items():
        alpha, colour = soft(SHAPE, torch.float64)
        alpha[1, :, 2:4] = torch.tensor([0.0, 1.0], dtype=torch.float64)
        for backend in FAST:
            pixels = counted(alpha, camera, backend)
            picture, *truth = gradients(alpha, colour, camera, "reference", pixels)
            got, *grads = gradients(alpha.float(), colour.float(), camera, backend, pixels)
            error = max(float((a - b)[pixels].detach().abs().max()) for a, b in zip(got, picture, strict=True))
            if backend in ROUNDED:
                yield Check(f"{name}: share of pixels next to edges", backend, 1 - float(pixels.float().mean()), 0.9)
            yield Check(f"{name}: picture against reference, max", backend, error, 1e-5)
            for what, a, b in zip(("alpha", "colour"), grads, truth, strict=True):
                yield Check(f"{name}: d {what}, relative norm", backend, float((a - b).norm() / b.norm()), 1e-4)


def hard() -> Iterator[Check]:
    """Opaque worlds against the simulator's ray-caster: the share of pixels off by more than one level of 255."""
    for backend in HERE:
        wrong, pixels = 0, 0
        for seed in range(4):
            blocks = structure(seed).blocks
            alpha, colour = of_blocks(blocks)
            volume = raycast.Volume(blocks)
            views = [orbit((16, 16, 16), 60 * seed + turn, 10 + 20 * seed, 96, 64) for turn in (0, 137)]
            for camera in (*views, look_at((1.3, 9.6, 2.1), (9.0, 3.0, 9.0), 96, 64)):
                got = draw(alpha, colour, camera, backend=backend).rgb.numpy()
                flat = raycast.render_flat(volume, camera.eye, camera.axes, 96, 64, camera.fovy_deg)
                off = np.abs(np.round(got * 255) - np.round(flat * 255)).max(-1) > 1
                judged = counted(alpha, camera, backend).numpy()
                wrong, pixels = wrong + int(off[judged].sum()), pixels + int(judged.sum())
        yield Check("hard: share of pixels off the ray-caster", backend, wrong / pixels, 1e-3)


def along_axes() -> Iterator[Check]:
    """A ray along each axis, both ways, against the sum over its row of voxels written out."""
    alpha, colour = soft((5, 5, 5), torch.float64)
    for backend in HERE:
        worst = 0.0
        for axis, sign in product(range(3), (-1.0, 1.0)):
            eye, target = np.full(3, 2.5), np.full(3, 2.5)
            eye[axis] -= 9 * sign
            camera = look_at(tuple(eye), tuple(target), 1, 1)
            row: list[slice | int] = [2, 2, 2]
            row[axis] = slice(None)
            a, c = alpha[tuple(row)], colour[tuple(row)][:, 2 * axis + int(sign < 0)]
            if sign < 0:
                a, c = a.flip(0), c.flip(0)
            expected = torch.as_tensor(SKY)
            for i in range(4, -1, -1):
                expected = a[i] * c[i] + (1 - a[i]) * expected
            got = draw(alpha, colour, camera, backend=backend).rgb[0, 0]
            worst = max(worst, float((got - expected).abs().max()))
        yield Check("rays along the axes, max", backend, worst, 1e-6)


def empty_and_full() -> Iterator[Check]:
    """Nothing is the sky, and everything is opaque, from outside and inside."""
    _, colour = soft(SHAPE, torch.float32)
    for backend in HERE:
        worst = 0.0
        for camera in (orbit(SHAPE, 10, 5, 9, 9), look_at(*INSIDE, 9, 9)):
            nothing = draw(torch.zeros(SHAPE), colour, camera, backend=backend)
            worst = max(worst, float((nothing.rgb - torch.as_tensor(SKY)).abs().max()), float(nothing.opacity.max()))
            everything = draw(torch.ones(SHAPE), colour, camera, backend=backend).opacity
            worst = max(worst, float((everything[4, 4] - 1).abs()), float((everything * (1 - everything)).abs().max()))
        yield Check("empty and full worlds, max", backend, worst, 1e-6)


CHECKS = (gradcheck, enumeration, across, hard, along_axes, empty_and_full)


def main() -> None:
    parser = argparse.ArgumentParser(description="what makes the voxel renderer right, as figures")
    parser.add_argument("--json", action="store_true", help="one JSON line a check")
    as_json = parser.parse_args().json
    failed = 0
    for check in (check for group in CHECKS for check in group()):
        failed += not check.holds
        if as_json:
            print(json.dumps(asdict(check) | {"holds": check.holds}), flush=True)
        else:
            verdict = "ok  " if check.holds else "FAIL"
            print(f"{verdict} {check.backend:10s} {check.found:9.2e} <= {check.limit:7.0e}  {check.name}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
