"""The whole live step of the shipped model: eager and as one CUDA graph, in fp32 and in bf16; programs a step.

    python tests/kernels/gpu/live.py                     on a GPU; some minutes
    python tests/kernels/gpu/live.py --device cpu --few    the same table for one and two players, without graphs

Needs torch, triton and numpy; weights are random, which costs the same time. `off` is how far the graph's next states
are from eager ones, of their norm; no code is drawn at random. Rows that would end after eight minutes are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))


class Nothing:
    """In the place of what is not installed: what checks configs, simulates and reads files is not used here."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __init_subclass__(cls, **_: Any) -> None: ...

    def __class_getitem__(cls, _: Any) -> Any:
        return cls

    def __call__(self, *given: Any, **_: Any) -> Any:
        return given[0] if given else self


class StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


for package in ("pydantic", "pydantic_core", "annotated_types", "numba", "safetensors"):
    if importlib.util.find_spec(package) is None:
        sys.modules |= {name: StandIn(name) for name in (package, f"{package}.torch")}

import torch  # noqa: E402

from terrarium.worlds.precision import computing_in  # noqa: E402
from terrarium.worlds.world_model.dynamics import Dynamics  # noqa: E402
from terrarium.worlds.world_model.frozen import example  # noqa: E402
from terrarium.worlds.world_model.graphs import BUCKETS, Graphs, capture  # noqa: E402
from terrarium.worlds.world_model.kinds import TokenizerConfig, WorldModelConfig  # noqa: E402
from terrarium.worlds.world_model.painter import Painter  # noqa: E402
from terrarium.worlds.world_model.rollout import State, step  # noqa: E402
from terrarium.worlds.world_model.tokenizer import Tokenizer, channels_last  # noqa: E402
from terrarium.worlds.world_model.views import camera_of  # noqa: E402

MOST_S = 440.0
Given = tuple[State, torch.Tensor, torch.Tensor]


def config_of(cls: type, values: dict[str, Any]) -> Any:
    known = {field.name for field in fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in known})


def shipped_shape(device: torch.device) -> Dynamics:
    manifest = json.loads((ROOT / "worlds/world_model/shipped/manifest.json").read_text())
    tokenizer = Tokenizer(config_of(TokenizerConfig, manifest["tokenizer"]))
    config = config_of(WorldModelConfig, manifest["dynamics"])
    data = manifest["data"]
    model = Dynamics(config, tokenizer, tuple(manifest["grid"]), len(data["action_names"]), camera_of(data))
    model.painter = Painter(config.painter_channels)
    return channels_last(model).to(device).eval().requires_grad_(False)


def in_bf16(model: Dynamics, *given: Any) -> State:
    with computing_in("bf16", model.device):
        return step(model, *given)


def milliseconds(run: Callable[[], Any], device: torch.device, times: int) -> float:
    """Median of `times` runs, each to its end."""
    found = []
    for _ in range(times + 3):
        wait(device)
        started = time.perf_counter()
        run()
        wait(device)
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found[3:])


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def programs(run: Callable[[], Any], device: torch.device) -> tuple[int, float] | None:
    """How many the GPU runs in a step, and the milliseconds that it is busy."""
    if device.type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        run()
        wait(device)
    found = [e for e in profiled.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    return len(found), sum(e.device_time for e in found) / 1e3


def apart(a: State, b: State) -> float:
    """How far the layers' states are from each other, of their norm."""
    pairs = zip(a.memory.layers, b.memory.layers, strict=True)
    return max(float((x - y).norm() / x.norm().clamp(min=1e-6)) for x, y in pairs)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--few", action="store_true", help="one and two players, three runs each")
    asked = parser.parse_args()
    device, started = torch.device(asked.device), time.monotonic()
    os.environ["TERRARIUM_DEVICE"] = asked.device
    torch.manual_seed(0)
    model, rows = shipped_shape(device), []
    eager = {"fp32": partial(step, model), "bf16": partial(in_bf16, model)}
    graphs = {name: Graphs(run, capture) for name, run in eager.items()} if device.type == "cuda" else {}
    for players in BUCKETS[:2] if asked.few else BUCKETS:
        given: Given = example(model, players)
        for name, run in eager.items():
            if time.monotonic() - started > MOST_S:
                print(f"left out: {players} players in {name}", flush=True)
                continue
            times = 3 if asked.few else 30
            counted = programs(partial(run, *given), device)
            row = [str(players), name, f"{milliseconds(partial(run, *given), device, times):.3f}"]
            if graph := graphs.get(name):
                row += [f"{milliseconds(partial(graph, *given), device, times):.3f}"]
                row += ["failed" if graph.failed else f"{apart(run(*given), graph(*given)):.1e}"]
            else:
                row += ["-", "-"]
            rows.append(row + ([str(counted[0]), f"{counted[1]:.3f}"] if counted else ["-", "-"]))
            print(f"{time.monotonic() - started:4.0f} s: {players} players, {name}", flush=True)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    print(f"\n{where}, torch {torch.__version__}, milliseconds a step")
    for row in [["players", "in", "eager", "graph", "off", "programs", "busy"], *rows]:
        print("".join(f"{cell:>10}" for cell in row))


if __name__ == "__main__":
    main()
