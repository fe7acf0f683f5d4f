"""Block sizes of every program, tried on this GPU; the fastest become its architecture's defaults.

    python tests/kernels/gpu/sweep.py               on a GPU; needs torch and triton alone; ends within eight minutes
    python tests/kernels/gpu/sweep.py --dry         the table alone, nothing is written
    python tests/kernels/gpu/sweep.py --device cpu --budget 60 --dry    a rehearsal in Triton's interpreter

Each try is an operator's bench case in bf16, timed as a CUDA graph, and must give what the operator's own sizes give.
When a program's share of the time is up, the rest of its tries are left out. kernels/block_sizes.json gets the fastest
of each where it beats the own sizes by more than MARGIN.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if "cpu" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # before a program is defined
sys.path.insert(0, str(Path(__file__).parents[3]))

import torch

from terrarium.kernels.bench.measure import Call, as_call, graph_ms, times
from terrarium.kernels.block_sizes import FILE, Sizes, architecture, swept
from terrarium.kernels.cases import BenchCase, operators

MARGIN = 0.03
AGREES = 2e-2  # relative norm of the difference between two block sizes in bf16


@dataclass(frozen=True)
class Program:
    """`name` as `block_sizes` is asked for it; `case` is the operator's bench case; the numbers to try of each size."""

    name: str
    case: str
    tries: dict[str, tuple[int, ...]]

    def candidates(self) -> Iterator[Sizes]:
        for values in itertools.product(*self.tries.values()):
            yield dict(zip(self.tries, values, strict=True))

    def bench_case(self, quick: bool) -> BenchCase:
        """The quick one, of those that go backward where this one does, for a rehearsal."""
        cases = operators()[self.name.split()[0]].BENCH
        found = next(c for c in cases if c.name == self.case)
        alike = [c for c in cases if c.quick and c.backward == found.backward] or [c for c in cases if c.quick]
        return alike[0] if quick else found


BLOCKS, WARPS = (32, 64, 128), (4, 8, 16)
PROGRAMS = [
    Program("conv_gru forward", "train 32x128x16x16", {"values": (4, 8, 16), "num_warps": WARPS}),
    Program(
        "conv_gru backward",
        "norm, FiLM, train 32x128x16x16 fwd+bwd",
        {"values": (4, 8), "num_warps": WARPS, "programs": (1, 2, 4)},
    ),
    Program(
        "lpips channels-last",
        "vgg relu1_2 of 256 px 16x64x256x256 forward + backward",
        {"tile": (2048, 4096, 8192), "num_warps": (2, *WARPS)},
    ),
    Program("vq", "N=16384 K=1024 D=32", {"BLOCK_N": BLOCKS, "BLOCK_K": BLOCKS, "num_warps": (4, 8)}),
    Program(
        "soft_embed",
        "N=16384 K=1024 D=32 forward + backward",
        {"BLOCK_N": BLOCKS, "BLOCK_K": BLOCKS, "num_warps": (4, 8)},
    ),
    Program("ssim", "16x3x256x256 forward + backward", {"BLOCK_W": (16, 32, 64), "num_warps": (4, 8, 16)}),
    Program("march", "32^3 256^2 forward + backward", {"BLOCK": (32, 64, 128, 256), "num_warps": (1, 2, 4)}),
    Program("codes", "64x16x16 of 8x5x5x5", {"tile": (256, 512, 1024), "num_warps": (1, 2, 4)}),
]


def results(call: Call) -> list[torch.Tensor]:
    made = call()
    return [x.detach().double() for x in (made if isinstance(made, tuple) else (made,))]


def apart(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    return max(float((x - y).norm() / y.norm().clamp(min=1e-6)) for x, y in zip(found, expected, strict=True))


def milliseconds(call: Call, device: torch.device, budget_s: float) -> float:
    if device.type == "cpu":  # a rehearsal: the interpreter's time says nothing, so once is enough
        began = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - began)
    return (graph_ms(call, budget_s) or times(call, device, budget_s)).p50


def sweep(program: Program, device: torch.device, budget_s: float) -> tuple[float, Sizes, float, int]:
    """-> milliseconds of the own sizes, the fastest sizes, their milliseconds, and how many were tried."""
    end = time.monotonic() + budget_s
    case = program.bench_case(quick=device.type == "cpu")
    dtype = torch.float32 if device.type == "cpu" or torch.bfloat16 not in case.dtypes else torch.bfloat16
    torch.manual_seed(0)
    call = as_call(case, case.fused, case.make(device, dtype))
    chosen = swept.setdefault(architecture(device), {})
    before = chosen.pop(program.name, None)
    expected = results(call)
    own = fastest = milliseconds(call, device, 0.05)
    best, tried = {}, 0
    for sizes in program.candidates():
        if tried and time.monotonic() > end:
            break
        chosen[program.name] = sizes
        tried += 1
        try:
            difference = apart(results(call), expected)
            taken = milliseconds(call, device, 0.05)
        except Exception as error:  # sizes that do not compile, or need more than the GPU has
            print(f"{program.name} {sizes}: {type(error).__name__}", flush=True)
            continue
        if difference > AGREES:
            print(f"WRONG {program.name} {sizes}: {difference:.2g} from the own sizes", flush=True)
        elif taken < fastest:
            fastest, best = taken, sizes
    chosen.pop(program.name, None)
    if before is not None:
        chosen[program.name] = before
    return own, best, fastest, tried


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--budget", type=float, default=420.0, help="seconds for all programs together")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    given = parser.parse_args()
    device = torch.device(given.device)
    lines, kept = [], dict[str, Sizes]()
    for program in PROGRAMS:
        own, best, fastest, tried = sweep(program, device, given.budget / len(PROGRAMS))
        if best and fastest < own * (1 - MARGIN):
            kept[program.name] = best
        lines.append(f"| {program.name} | {own:.4f} | {fastest:.4f} | {json.dumps(best)} | {tried} |")
        print(lines[-1], file=sys.stderr, flush=True)
    name: Any = torch.cuda.get_device_name() if device.type == "cuda" else "Triton's interpreter"
    print(f"\n{name}, {architecture(device)}, torch {torch.__version__}")
    print("| program | own ms | fastest ms | its sizes | tried |\n|---|---|---|---|---|")
    print("\n".join(lines))
    if not given.dry:
        swept[architecture(device)].update(kept)
        FILE.write_text(json.dumps(swept, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
