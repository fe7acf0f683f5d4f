"""Every operator in every dtype against naive.py in float64: values, gradients, layouts, the same bits three times.

    python tests/kernels/gpu/check.py                   on a GPU; needs torch and triton alone; some minutes
    python tests/kernels/gpu/check.py --device cpu --few    the same cases in Triton's interpreter, without bf16

Tolerances are those of tests/kernel_checks.py, by which errors are given: 1 is the most that is right. Memory that
nobody wrote is NaN. Ends with 1 where anything is wrong. The march is left out of "the same bits": its sums are atomic.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if "cpu" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # before a program is defined
ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
from kernel_checks import GRADIENTS, LAYOUTS, VALUES, laid_out  # noqa: E402

from terrarium.kernels.codes import draw_codes, nats, split_factors  # noqa: E402
from terrarium.kernels.conv_gru import conv_gru_gates, naive, reset_gates, update_gate  # noqa: E402
from terrarium.kernels.conv_gru.cases import ALL_ROWS  # noqa: E402
from terrarium.kernels.lpips import naive as lpips  # noqa: E402
from terrarium.kernels.lpips.fused import lpips_head  # noqa: E402
from terrarium.kernels.march import naive as marching  # noqa: E402
from terrarium.kernels.march.fused import march  # noqa: E402
from terrarium.kernels.soft_embed import naive as embedding  # noqa: E402
from terrarium.kernels.soft_embed.fused import soft_embed  # noqa: E402
from terrarium.kernels.ssim import naive as similarity  # noqa: E402
from terrarium.kernels.ssim.fused import ssim  # noqa: E402
from terrarium.kernels.vq.fused import vector_quantize  # noqa: E402

Tensors = dict[str, torch.Tensor]
Function = Callable[..., Any]
SHAPES = [
    (2, 7, 3, 5),
    (1, 64, 16, 16),
    (8, 64, 16, 16),
    (3, 130, 7, 9),
    (2, 192, 16, 16),
    (2, 512, 8, 9),
    (1, 1024, 5, 4),
]
FORMS: list[tuple[str, ...]] = [(), ("h_norm", "h_bias"), ALL_ROWS, ("x_bias", "shift", "h_bias"), ("scale",)]
PICTURES = [(1, 1, 11, 11), (2, 3, 64, 64), (1, 3, 70, 131)]
RUNS = 3


@dataclass(frozen=True)
class Case:
    name: str
    fast: Function
    slow: Function
    given: Tensors  # differentiable ones
    repeats: bool = True  # bit for bit


def randn(device: torch.device, dtype: torch.dtype, *shape: int, layout: str = "contiguous") -> torch.Tensor:
    return laid_out(torch.randn(*shape, device=device).to(dtype), layout)


def gates(device: torch.device, dtype: torch.dtype, few: bool) -> Iterator[Case]:
    for (b, c, h, w), rows, layout in itertools.product(SHAPES[: 1 if few else None], FORMS, LAYOUTS):
        maps = {"gx": 3 * c, "gh": 3 * c, "h": c}
        given = {k: randn(device, dtype, b, n, h, w, layout=layout) for k, n in maps.items()}
        for row in rows:
            size = (b, 3 * c) if row in ("scale", "shift") else (3 * c,)
            given[row] = (0.3 * torch.randn(size, device=device) + (row in ("x_norm", "h_norm", "scale"))).to(dtype)
        yield Case(f"gates {'+'.join(rows) or 'plain'}", conv_gru_gates, naive.conv_gru_gates, given)
    for (b, c, h, w), layout in itertools.product(SHAPES[: 1 if few else None], LAYOUTS):
        given = {
            k: randn(device, dtype, b, n, h, w, layout=layout) for k, n in (("gx", 2 * c), ("gh", 2 * c), ("h", c))
        }
        yield Case("reset", reset_gates, naive.reset_gates, given)
        given = {k: randn(device, dtype, b, c, h, w, layout=layout) for k in ("gx", "gh", "z", "h")}
        yield Case("update", update_gate, naive.update_gate, given)


def heads(device: torch.device, dtype: torch.dtype, few: bool) -> Iterator[Case]:
    for (b, c, h, w), layout in itertools.product(SHAPES[: 1 if few else None], LAYOUTS):
        weight = torch.rand(c, device=device)
        given = {k: randn(device, dtype, b, c, h, w, layout=layout).relu() + 0.01 for k in ("f0", "f1")}
        fast = lambda f0, f1, weight=weight: lpips_head(f0, f1, weight)  # noqa: E731
        slow = lambda f0, f1, weight=weight: lpips.lpips_head(f0, f1, weight.double())  # noqa: E731
        yield Case("lpips_head", fast, slow, given)


def pictures(device: torch.device, dtype: torch.dtype, few: bool) -> Iterator[Case]:
    for (b, c, h, w), layout in itertools.product(PICTURES[: 1 if few else None], LAYOUTS):
        x = torch.rand(b, c, h, w, device=device)
        y = x + 0.2 * torch.randn_like(x)
        given = {"x": laid_out(x.to(dtype), layout), "y": laid_out(y.to(dtype), layout)}
        yield Case("ssim", lambda x, y: ssim(x, y, 1.0), lambda x, y: similarity.ssim(x, y, 1.0), given)


def embeddings(device: torch.device, dtype: torch.dtype, few: bool) -> Iterator[Case]:
    seed = torch.tensor(-(2**40) + 7, device=device)
    deepest = 256 if dtype.itemsize == 2 else 128
    for n, k, d in [(7, 17, 5), (300, 1000, 32), (129, 130, deepest)][: 1 if few else None]:
        given = {"logits": randn(device, dtype, n, k), "codebook": randn(device, dtype, k, d)}
        fast = lambda logits, codebook: soft_embed(logits, codebook, seed, 0.7)  # noqa: E731
        slow = lambda logits, codebook: embedding.soft_embed(logits, codebook, seed, 0.7)  # noqa: E731
        yield Case("soft_embed", fast, slow, given)


def marches(device: torch.device, dtype: torch.dtype, few: bool) -> Iterator[Case]:
    if dtype != torch.float32:
        return
    for side, count in [(4, 33), (16, 4096), (32, 16384)][: 1 if few else None]:
        alpha = torch.rand(side, side, side, device=device)
        alpha.view(-1)[::5], alpha.view(-1)[::7] = 0, 1
        given = {"alpha": alpha, "face_colour": torch.rand(*alpha.shape, 6, 3, device=device)}
        eye = torch.tensor((1.4 * side, 1.1 * side, -0.6 * side), dtype=torch.float64, device=device)
        rays = torch.nn.functional.normalize(side * torch.rand(count, 3, device=device).double() - eye, dim=-1)
        fast = lambda alpha, face_colour, e=eye, r=rays: march(alpha, face_colour, e, r)  # noqa: E731
        slow = lambda alpha, face_colour, e=eye, r=rays: marching.march(alpha, face_colour, e, r)  # noqa: E731
        yield Case("march", fast, slow, given, repeats=False)


def run(function: Function, given: Tensors) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """-> results, and gradients to everything given, for a random gradient to each result."""
    leaves = {k: x.detach().requires_grad_() for k, x in given.items()}
    made = function(**leaves)
    made = made if isinstance(made, tuple) else (made,)
    generator = torch.Generator().manual_seed(0)
    towards = [torch.randn(x.shape, generator=generator).to(x) for x in made]
    return [x.detach() for x in made], list(torch.autograd.grad(made, list(leaves.values()), towards))


def errors(case: Case, dtype: torch.dtype) -> dict[str, float]:
    """{result or gradient: its error, in tolerances}; inf where three runs were not the same."""
    runs = [run(case.fast, case.given) for _ in range(RUNS)]
    values, gradients = run(case.slow, {k: x.double() for k, x in case.given.items()})
    absolute, relative = VALUES[dtype]
    found = {}
    for i, exact in enumerate(values):
        off = (runs[0][0][i].double() - exact).abs() / (absolute + relative * exact.abs())
        found[f"result {i}"] = float(off.max())
    for i, (name, exact) in enumerate(zip(case.given, gradients, strict=True)):
        off = (runs[0][1][i].double() - exact).norm() / exact.norm().clamp(min=1e-3)
        found[f"gradient to {name}"] = float(off) / GRADIENTS[dtype]
    flat = [[*results, *grads] for results, grads in runs]
    if case.repeats and not all(torch.equal(a, b) for other in flat[1:] for a, b in zip(flat[0], other, strict=True)):
        found["repeated"] = float("inf")
    return {name: error if error == error else float("inf") for name, error in found.items()}  # a NaN is wrong


def codes(device: torch.device, dtype: torch.dtype, few: bool) -> float:
    """How much farther than the nearest code the chosen one lies, at most, in 1e-5."""
    worst = 0.0
    for n, k, d in [(7, 17, 5), (300, 1000, 32), (129, 8192, 256)][: 1 if few else None]:
        x, codebook = randn(device, dtype, n, d), randn(device, dtype, k, d)
        chosen = vector_quantize(x, codebook)[0]
        distance = torch.cdist(x.double(), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist")
        worst = max(worst, float((distance.gather(1, chosen[:, None])[:, 0] - distance.amin(1)).max()) / 1e-5)
    return worst


def draws(device: torch.device, dtype: torch.dtype, few: bool) -> float:
    """How far a drawn code's score may be below the best in float64, and its nats from theirs, in units of 1e-4."""
    worst = 0.0
    cases = itertools.product([(1, 3, 5), (2, 16, 16), (8, 7, 33)], [(8, 5, 5, 5), (512,)], LAYOUTS)
    for (b, h, w), factors, layout in itertools.islice(cases, 1 if few else None):
        logits = randn(device, dtype, b, sum(factors), h, w, layout=layout)
        noise = torch.empty(logits.shape, device=device).exponential_().to(dtype).clamp(min=1e-4)
        heat, cells = torch.rand(b, device=device), torch.zeros(b, h, w, dtype=torch.int64, device=device)
        made, cost = draw_codes(logits, noise, heat, cells, cells.bool(), factors)
        scores = logits.double() - heat.double().view(-1, 1, 1, 1) * noise.double().log()
        for part, digit in zip(scores.split(factors, 1), split_factors(made, factors).unbind(-1), strict=True):
            below = part.amax(1) - part.gather(1, digit[:, None])[:, 0]
            worst = max(worst, float(below.max()) / 1e-4)
        worst = max(worst, float((cost - nats(logits.double(), made, factors)).abs().max()) / 1e-4)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--few", action="store_true", help="the smallest shape of each")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    dtypes = [torch.float32, torch.float16] + [torch.bfloat16] * (device.type == "cuda")
    worst: dict[tuple[str, str], tuple[float, str]] = {}
    started, count = time.time(), 0
    for dtype in dtypes:
        torch.manual_seed(1)
        for group in (gates, heads, pictures, embeddings, marches):
            for case in group(device, dtype, given.few):
                count += 1
                for name, error in errors(case, dtype).items():
                    shapes = [list(x.shape) for x in case.given.values()]
                    if error > 1:
                        print(f"WRONG {case.name} {dtype} {name} {shapes}: {error:.2f} tolerances", flush=True)
                    key = (case.name, str(dtype))
                    worst[key] = max(worst.get(key, (0.0, "")), (error, name))
        worst["vector_quantize", str(dtype)] = (codes(device, dtype, given.few), "distance")
        worst["draw_codes", str(dtype)] = (draws(device, dtype, given.few), "score or nats")
    where = torch.cuda.get_device_name() if device.type == "cuda" else "Triton's interpreter"
    print(f"\n{where}, torch {torch.__version__}: worst error in tolerances")
    for (name, kind), (error, what) in sorted(worst.items()):
        print(f"{name:45s} {kind:15s} {error:9.3f}  {what}")
    wrong = sum(error > 1 for error, _ in worst.values())
    print(f"{count} cases, {wrong} of {len(worst)} lines wrong, {time.time() - started:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
