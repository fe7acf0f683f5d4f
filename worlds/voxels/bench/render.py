"""Milliseconds of the renderer, forward and backward, for every backend in one run on one scene.

The scene is a fog of voxels of every opacity, as an optimisation begins: no ray ends early. Backends take turns within
a round and the median round counts, so that a slow moment slows all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
import torch
from torch import Tensor

from terrarium.worlds.voxels.bench import plain_c
from terrarium.worlds.voxels.bench.peak import peak_mb
from terrarium.worlds.voxels.camera import Camera, orbit
from terrarium.worlds.voxels.memory import CROSSING
from terrarium.worlds.voxels.render import render

Times = tuple[float, float]  # seconds forward, backward
MEMORY = 6 * 2**30  # beyond it the reference is left out


def scene(side: int) -> tuple[Tensor, Tensor]:
    """alpha [S, S, S] about .05, each ray's light nearly used up behind S = 64; random colours."""
    generator = torch.Generator().manual_seed(0)
    alpha = torch.sigmoid(torch.randn(side, side, side, generator=generator) - 3.4)
    return alpha, torch.rand(side, side, side, 6, 3, generator=generator)


def _differentiated(alpha: Tensor, colour: Tensor, camera: Camera, backend: str, threads: int) -> Times:
    numba.set_num_threads(threads)
    alpha, colour = alpha.detach().requires_grad_(), colour.detach().requires_grad_()
    begun = time.perf_counter()
    picture = render(alpha, colour, camera, backend=backend)
    drawn = time.perf_counter()
    sum(part.sum() for part in picture).backward()  # type: ignore[union-attr]
    return drawn - begun, time.perf_counter() - drawn


def _in_c(alpha: Tensor, colour: Tensor, camera: Camera) -> Callable[[], Times]:
    library, rays = plain_c.compiled(), camera.rays()
    grad = torch.ones(camera.height, camera.width, 8)

    def measured() -> Times:
        begun = time.perf_counter()
        plain_c.forward(library, alpha, colour, camera, rays)
        drawn = time.perf_counter()
        plain_c.backward(library, alpha, colour, camera, rays, grad)
        return drawn - begun, time.perf_counter() - drawn

    return measured


def _contenders(
    alpha: Tensor, colour: Tensor, camera: Camera, threads: int
) -> dict[tuple[str, int], Callable[[], Times]]:
    """(backend, threads) -> one forward and backward."""

    def of(backend: str, n: int) -> Callable[[], Times]:
        return lambda: _differentiated(alpha, colour, camera, backend, n)

    found: dict[tuple[str, int], Callable[[], Times]] = {}
    if camera.width * camera.height * 3 * alpha.shape[0] * CROSSING < MEMORY:
        found["reference", torch.get_num_threads()] = of("reference", 1)
    if plain_c.compiler():
        found["c", 1] = _in_c(alpha, colour, camera)
    return found | {("cpu", n): of("cpu", n) for n in sorted({1, threads})}


def bench(sides: list[int], pictures: list[int], rounds: int, threads: int) -> Iterator[dict[str, Any]]:
    """A row a grid, picture, backend and number of threads.

    `times_reference` and `times_c` are how many times as fast as those its forward and backward are together; None
    where the other was not run. `peak_mb` is the memory that one forward and backward take beside the grid, its
    gradient included; None where the system does not tell.
    """
    for side in sides:
        alpha, colour = scene(side)
        for size in pictures:
            camera = orbit((side, side, side), 30, 25, size, size)
            yield from _rows(_contenders(alpha, colour, camera, threads), rounds, {"grid": side, "picture": size})


def _rows(
    contenders: dict[tuple[str, int], Callable[[], Times]], rounds: int, place: dict[str, int]
) -> Iterator[dict[str, Any]]:
    for measure in contenders.values():
        measure()  # compiles
    peaks = {key: peak_mb(measure) for key, measure in contenders.items()}
    taken: dict[tuple[str, int], list[Times]] = {key: [] for key in contenders}
    for _ in range(rounds):
        for key, measure in contenders.items():
            taken[key].append(measure())
    whole = {key: statistics.median(a + b for a, b in times) for key, times in taken.items()}
    of_backend = {backend: seconds for (backend, threads), seconds in whole.items() if backend != "cpu"}
    for (backend, threads), times in taken.items():
        forward, backward = ([t[k] * 1e3 for t in times] for k in (0, 1))
        faster = {
            f"times_{other}": round(of_backend[other] / whole[backend, threads], 2) if other in of_backend else None
            for other in ("reference", "c")
        }
        yield place | {
            "backend": backend,
            "threads": threads,
            "forward_ms": round(statistics.median(forward), 2),
            "backward_ms": round(statistics.median(backward), 2),
            **faster,
            "peak_mb": peaks[backend, threads],
            "forward_ms_range": [round(min(forward), 2), round(max(forward), 2)],
            "backward_ms_range": [round(min(backward), 2), round(max(backward), 2)],
        }
