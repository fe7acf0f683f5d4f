"""The live step compiled ahead of time for this processor, its weights laid out once (AOTInductor with freezing).

    python -m terrarium.worlds.world_model.frozen FOLDER PACKAGE
    ... --leash                       kills its process group when stdin ends

The compiler, in a process of its own: a minute or more.

Compiling is Python that would hold up every frame of a player in the same process; loading what was compiled takes
some milliseconds and no compiler.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch
from torch import nn

from terrarium.worlds.world_model.dynamics import Dynamics, Memory
from terrarium.worlds.world_model.rollout import State, load_world_model, step

MOST = 4  # players in a frozen step: it holds Python's lock, and beyond four it gains little
AGREES = 1e-3  # how far states may be apart from eager ones


class LiveStep(nn.Module):
    """`rollout.step` on plain tensors: codes, picture, action, temperature, last action, the rest of the memory."""

    def __init__(self, dynamics: Dynamics) -> None:
        super().__init__()
        self.dynamics = dynamics

    def forward(
        self,
        codes: torch.Tensor,
        picture: torch.Tensor,
        action: torch.Tensor,
        temperature: torch.Tensor,
        last: torch.Tensor,
        margins: torch.Tensor,
        recent: torch.Tensor,
        fresh: torch.Tensor,
        views: torch.Tensor,
        looks: torch.Tensor,
        *layers: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """-> codes, picture, margins, recent, fresh, views, looks, layers of the next frame."""
        memory = Memory(list(layers), last, margins, recent, fresh, views, looks)
        after = step(self.dynamics, State(codes, picture, memory), action, temperature)
        m = after.memory
        return (after.codes, after.picture, m.margins, m.recent, m.fresh, m.views, m.looks, *m.layers)


def as_inputs(state: State, action: torch.Tensor, temperature: torch.Tensor) -> list[torch.Tensor]:
    """What `LiveStep` takes, in the memory formats that it was compiled for: nothing checks them afterwards."""
    m = state.memory
    plain = [state.codes, state.picture, action, temperature, m.action, m.margins, m.recent, m.fresh, m.views, m.looks]
    layers = [x.contiguous(memory_format=torch.channels_last) for x in m.layers]
    return [x.contiguous() for x in plain] + layers


class FrozenStep:
    """A package of `compile_step`. Called like `rollout.step` without the model, from one thread."""

    def __init__(self, package: Path) -> None:
        # The class behind torch._inductor.aoti_load_package, which imports the compiler for a second.
        self.run = torch._C._aoti.AOTIModelPackageLoader(str(package), "model", True, 1, -1).boxed_run

    def __call__(self, state: State, action: torch.Tensor, temperature: torch.Tensor) -> State:
        """At most MOST rows."""
        codes, picture, margins, recent, fresh, views, looks, *layers = self.run(as_inputs(state, action, temperature))
        return State(codes, picture, Memory(layers, action, margins, recent, fresh, views, looks))


def package_name(manifest: dict[str, Any]) -> str:
    """Another one for other weights, another torch, another processor, another version of the model's code."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    code = [file.read_text() for file in sorted(Path(__file__).parent.glob("*.py"))]
    parts = [manifest["sha256"], torch.__version__, platform.machine(), flags, *code]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] + ".pt2"


def example(dynamics: Dynamics, batch: int) -> tuple[State, torch.Tensor, torch.Tensor]:
    """Some state of `batch` players, their actions, and 0 as everybody's temperature, on the model's device."""
    (h, w), memory, at = dynamics.grid, dynamics.initial(batch), dynamics.device
    codes = torch.randint(math.prod(dynamics.factors), (batch, h, w), device=at)
    picture = torch.rand(batch, 3, *(4 * n for n in (h, w)), device=at) - 0.5
    return State(codes, picture, memory), torch.zeros(batch, dynamics.actions, device=at), torch.zeros(batch, device=at)


@torch.no_grad()
def compile_step(dynamics: Dynamics, package: Path) -> None:
    """Write `package`, a .pt2 that only a processor like this one can run."""
    from torch._inductor import aoti_compile_and_package, decomposition, lowering

    # Its decomposition gathers sixteen pixels one by one, far slower than ATen's operator.
    sampler = torch.ops.aten.grid_sampler_2d.default
    decomposition.decompositions.pop(sampler)
    lowering.make_fallback(sampler, warn=False)  # where CI is set, the warning is an error
    inputs = as_inputs(*example(dynamics.requires_grad_(False), 3))
    rows = {0: torch.export.Dim("batch", min=1, max=MOST)}
    shapes = [rows] * (len(inputs) - len(dynamics.layers))
    exported = torch.export.export(
        LiveStep(dynamics), tuple(inputs), dynamic_shapes=(*shapes, tuple([rows] * len(dynamics.layers)))
    )
    options = {"freezing": True, "fallback_random": True, "cpp.dynamic_threads": True, "compile_threads": 1}
    aoti_compile_and_package(exported, package_path=str(package), inductor_configs=options)


@torch.inference_mode()
def check(dynamics: Dynamics, frozen: FrozenStep) -> None:
    """AssertionError where the frozen step is not the eager one."""
    for batch in (1, MOST):
        given = example(dynamics, batch)
        eager, after = step(dynamics, *given), frozen(*given)
        pairs = zip(
            [eager.memory.margins, *eager.memory.layers], [after.memory.margins, *after.memory.layers], strict=True
        )
        assert all(torch.allclose(a, b, atol=AGREES) for a, b in pairs), "compiled states differ from eager ones"
        assert (eager.codes == after.codes).float().mean() > 1 - AGREES, "compiled codes differ from eager ones"


def end_with_stdin() -> None:
    """Kills this process's group when stdin ends, so that no C++ compiler outlives whoever holds the other end."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    folder, package = (Path(a) for a in sys.argv[1:3])
    if "--leash" in sys.argv[3:]:
        end_with_stdin()
    os.nice(19)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=package.parent) as scratch:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = scratch
        made = Path(scratch) / "step.pt2"
        dynamics = load_world_model(folder)[0].cpu()
        compile_step(dynamics, made)
        check(dynamics, FrozenStep(made))
        made.replace(package)


if __name__ == "__main__":
    main()
