"""One row: how long a call takes, and how near that is to what the memory can do at all.

On a GPU a call that is shorter than its launches is timed as a CUDA graph of many calls, and what launching adds beside
it: `launch_ms` is the time of a call as PyTorch makes it, less that of the call in the graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from terrarium.kernels.cases import BenchCase, Inputs

Call = Callable[[], Any]


SMALL_MS = 0.2  # a call below it is mostly launches
IN_A_GRAPH = 50  # calls, so that the graph's own launch is small beside them


@dataclass(frozen=True)
class Times:
    """Milliseconds."""

    p20: float
    p50: float
    p80: float
    runs: int


def times(call: Call, device: torch.device, budget_s: float) -> Times:
    """Times single calls until `budget_s` is over, at least 7 of them, after two that are not counted."""
    call()
    call()
    one = _cuda_ms if device.type == "cuda" else _cpu_ms
    measured: list[float] = []
    end = time.perf_counter() + budget_s
    while len(measured) < 7 or time.perf_counter() < end:
        measured.append(one(call))
    p20, p50, p80 = (
        torch.tensor(measured, dtype=torch.float64).quantile(torch.tensor([0.2, 0.5, 0.8]).double()).tolist()
    )
    return Times(p20, p50, p80, len(measured))


def _cpu_ms(call: Call) -> float:
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


def _cuda_ms(call: Call) -> float:
    """Between two events; 256 MB are written first, so that the call finds nothing of its inputs in the L2 cache."""
    torch.empty(2**26, dtype=torch.int32, device="cuda").zero_()
    began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    began.record()
    call()
    ended.record()
    ended.synchronize()
    return began.elapsed_time(ended)


def graph_ms(call: Call, budget_s: float) -> Times | None:
    """Milliseconds of one call of those in a CUDA graph; None where it cannot be captured. Inputs that fit into the
    L2 cache stay there from call to call, as between the launches of a step."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    try:
        with torch.cuda.graph(graph):
            for _ in range(IN_A_GRAPH):
                call()
    except RuntimeError:
        torch.cuda.synchronize()
        return None
    whole = times(graph.replay, torch.device("cuda"), budget_s)
    return Times(whole.p20 / IN_A_GRAPH, whole.p50 / IN_A_GRAPH, whole.p80 / IN_A_GRAPH, whole.runs * IN_A_GRAPH)


def copy_bandwidth(device: torch.device, budget_s: float) -> float:
    """The ceiling, GB/s: bytes read and written by a plain copy of 256 MB (64 MB on a CPU), at the median."""
    size = 2**28 if device.type == "cuda" else 2**26
    source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * size / times(lambda: target.copy_(source), device, budget_s).p50 / 1e6


def implementations(case: BenchCase, device: torch.device) -> dict[str, Callable[..., Any]]:
    """On a CPU the fused function is the naive one, so it is no row of its own there."""
    found = {"eager": case.naive, "compile": torch.compile(case.naive)}
    return found | ({"fused": case.fused} if device.type == "cuda" else {})


def as_call(case: BenchCase, function: Callable[..., Any], inputs: Inputs) -> Call:
    """One forward pass, or a forward and a backward pass where the case asks for it."""
    if not case.backward:

        def forward() -> Any:
            with torch.no_grad():
                return function(**inputs)

        return forward
    wanted = [x for x in inputs.values() if isinstance(x, torch.Tensor) and x.requires_grad]

    def both() -> Any:
        result = function(**inputs)
        first = result[0] if isinstance(result, tuple) else result
        return torch.autograd.grad(first, wanted, torch.ones_like(first))

    return both


def peak_bytes(call: Call, device: torch.device) -> int | None:
    """The most that a call allocates beside its inputs; None on a CPU, where nothing counts it."""
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def rows(case: BenchCase, device: torch.device, ceiling_gb_s: float, budget_s: float) -> list[dict[str, Any]]:
    """A dict for every dtype and implementation of a case."""
    measured = []
    for dtype in case.dtypes:
        torch.manual_seed(0)
        inputs = case.make(device, dtype)
        shape = {name: list(x.shape) for name, x in inputs.items() if isinstance(x, torch.Tensor)}
        torch._dynamo.reset()
        for impl, function in implementations(case, device).items():
            call = as_call(case, function, inputs)
            taken = launched = times(call, device, budget_s)
            if device.type == "cuda" and launched.p50 < SMALL_MS:
                taken = graph_ms(call, budget_s) or launched
            gb_s = case.traffic(inputs) / taken.p50 / 1e6
            measured.append(
                {"op": case.op, "case": case.name, "shape": shape, "dtype": str(dtype).removeprefix("torch.")}
                | {
                    "impl": impl,
                    "launch_ms": launched.p50 - taken.p50,
                    "p20_ms": taken.p20,
                    "p50_ms": taken.p50,
                    "p80_ms": taken.p80,
                    "runs": taken.runs,
                }
                | {"gb_s": gb_s, "share_of_ceiling": gb_s / ceiling_gb_s, "ceiling_gb_s": ceiling_gb_s}
                | {"peak_bytes": peak_bytes(call, device)}
            )
    return measured
