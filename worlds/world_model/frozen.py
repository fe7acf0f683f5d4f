"""The live step compiled ahead of time for this processor, its weights laid out once (AOTInductor with freezing).

    python -m terrarium.worlds.world_model.frozen FOLDER fp32-1 PACKAGE.so
    ... --leash                       in the background: gives way, and kills its process group when stdin ends

The compiler, in a process of its own: a minute or more for each form (forms.py). It leaves PACKAGE.json beside the
package: how many times as fast as the eager step.

Compiling is Python that would hold up every frame of a player in the same process; loading what was compiled takes
some milliseconds and no compiler.
"""

from __future__ import annotations

import copy
import ctypes
import hashlib
import math
import os
import platform
import signal
import statistics
import sys
import tempfile
import threading
import time
import weakref
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from terrarium.worlds.precision import Precision, convolving_in_bf16
from terrarium.worlds.world_model.dynamics import Dynamics, Memory
from terrarium.worlds.world_model.forms import MEASURED, MOST, Form, Gains, best_form, gain_of, read_gains, write_gains
from terrarium.worlds.world_model.rollout import State, load_world_model, step
from terrarium.worlds.world_model.sampling import prepare_inductor

WARM_UP = 3
ROUNDS = 15  # of the eager and the compiled step in turns, for each number of players
AGREES: dict[Precision, float] = {"fp32": 1e-3, "bf16": 0.05}  # how far states may be from eager ones, of their norm


# void* in torch._C._aoti are capsules.
aoti: Any = torch._C._aoti
pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
pointer_in.restype, pointer_in.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
capsule_of = ctypes.pythonapi.PyCapsule_New
capsule_of.restype, capsule_of.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


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


class Package:
    """What `compile_step` wrote. Called like `rollout.step` without the model, from up to MOST threads at once, with at
    most as many rows as its form has players.

    By the C interface of AOTInductor (torch/csrc/inductor/aoti_runtime/interface.h): torch's own loader holds Python's
    lock during a step, and frames would wait in it that are due.
    """

    def __init__(self, file: Path, form: Form) -> None:
        """ValueError for a file that is none."""
        self.players = form.players
        try:
            self.library = ctypes.CDLL(str(file.absolute()))
        except OSError as e:
            raise ValueError(f"{file} cannot be loaded: {e}") from None
        self.container, self.outputs = ctypes.c_void_p(), ctypes.c_size_t()
        self._call("CreateWithDevice", ctypes.byref(self.container), ctypes.c_size_t(MOST), b"cpu", None)
        self._call("GetNumOutputs", self.container, ctypes.byref(self.outputs))
        weakref.finalize(self, self.library.AOTInductorModelContainerDelete, self.container).atexit = False

    @torch.inference_mode()
    def __call__(self, state: State, action: torch.Tensor, temperature: torch.Tensor) -> State:
        rows = len(action)
        if rows < self.players:
            full = [min(i, rows - 1) for i in range(self.players)]
            return self(state.select(full), action[full], temperature[full]).select(slice(rows))
        codes, picture, margins, recent, fresh, views, looks, *layers = self.run(as_inputs(state, action, temperature))
        return State(codes, picture, Memory(layers, action, margins, recent, fresh, views, looks))

    def run(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Handles of the inputs are taken over by the step, those of its results by torch."""
        handles = [pointer_in(capsule, None) for capsule in aoti.unsafe_alloc_void_ptrs_from_tensors(inputs)]
        given, made = (ctypes.c_void_p * len(handles))(*handles), (ctypes.c_void_p * self.outputs.value)()
        sizes = ctypes.c_size_t(len(handles)), self.outputs
        self._call("Run", self.container, given, sizes[0], made, sizes[1], None, None)
        return aoti.alloc_tensors_by_stealing_from_void_ptrs([capsule_of(handle, None, None) for handle in made])

    def _call(self, name: str, *arguments: Any) -> None:
        failed = getattr(self.library, f"AOTInductorModelContainer{name}")(*arguments)
        if failed:
            raise RuntimeError(f"AOTInductorModelContainer{name} failed with {failed}")


class FrozenStep:
    """The packages of a model, for as many players as they are good for. Added to by one thread, called by another."""

    def __init__(self, folder: Path, found: Iterable[Form] = ()) -> None:
        self.folder = folder
        self.gains: dict[Form, Gains] = {}
        self.packages: dict[Form, Package] = {}
        for form in found:
            self.add(form)

    def add(self, form: Form) -> None:
        """From its package in the folder."""
        file = form.package(self.folder)
        self.packages |= {form: Package(file, form)}
        self.gains = self.gains | {form: read_gains(file)}  # another dict: `best` may be at the old one

    def best(self, players: int, threads: int) -> Package | None:
        """None where the eager step is as fast."""
        form = best_form(self.gains, players, threads)
        return self.packages[form] if form else None

    def __str__(self) -> str:
        """Players and what they get on one thread, such as `1: bf16-1, 1.92x; 8: bf16-4, 1.41x; 16: eager`."""

        def said(form: Form | None, players: int) -> str:
            return f"{form}, {gain_of(form, self.gains[form], players):.2f}x" if form else "eager"

        return "; ".join(f"{n}: {said(best_form(self.gains, n), n)}" for n in MEASURED)


def folder_name(manifest: dict[str, Any]) -> str:
    """Another one for other weights, another torch, another processor, another version of the model's code."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    code = [file.read_text() for file in sorted(Path(__file__).parent.glob("*.py"))]
    parts = [manifest["sha256"], torch.__version__, platform.machine(), flags, *code]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def example(dynamics: Dynamics, batch: int) -> tuple[State, torch.Tensor, torch.Tensor]:
    """Some state of `batch` players, their actions, and 0 as everybody's temperature, on the model's device."""
    (h, w), memory, at = dynamics.grid, dynamics.initial(batch), dynamics.device
    codes = torch.randint(math.prod(dynamics.factors), (batch, h, w), device=at)
    picture = torch.rand(batch, 3, *(4 * n for n in (h, w)), device=at) - 0.5
    return State(codes, picture, memory), torch.zeros(batch, dynamics.actions, device=at), torch.zeros(batch, device=at)


@torch.no_grad()
def compile_step(dynamics: Dynamics, form: Form, package: Path) -> None:
    """Write `package`, a shared library that only a processor like this one can run."""
    from torch._inductor import aoti_compile_and_package

    prepare_inductor()
    dynamics = copy.deepcopy(dynamics).requires_grad_(False)
    if form.precision == "bf16":
        convolving_in_bf16(dynamics)
    exported = torch.export.export(LiveStep(dynamics), tuple(as_inputs(*example(dynamics, form.players))))
    options = {"freezing": True, "fallback_random": True, "cpp.dynamic_threads": True, "compile_threads": 1}
    with tempfile.TemporaryDirectory(dir=package.parent) as scratch:
        archive = aoti_compile_and_package(exported, package_path=f"{scratch}/step.pt2", inductor_configs=options)
        with zipfile.ZipFile(archive) as found:
            library, code = (
                found.read(next(n for n in found.namelist() if n.endswith(kind))) for kind in (".so", ".wrapper.cpp")
            )
    # An operator that needs torch's own loader, and is slower by it.
    assert b"aoti_torch_proxy_executor_call_function(proxy" not in code, "the step calls operators by name"
    package.write_bytes(library)


@torch.inference_mode()
def check(dynamics: Dynamics, package: Package, form: Form) -> None:
    """AssertionError where the compiled step is not the eager one."""
    for players in {form.players, -(-form.players // 2)}:
        given = example(dynamics, players)
        eager, after = step(dynamics, *given), package(*given)
        pairs = zip(
            [eager.memory.margins, *eager.memory.layers], [after.memory.margins, *after.memory.layers], strict=True
        )
        apart = max(((a - b).norm() / a.norm().clamp(min=1e-6)).item() for a, b in pairs)
        assert apart < AGREES[form.precision], f"compiled states are {apart:.2g} of their norm from eager ones"
        other = (eager.codes != after.codes).float().mean().item()
        assert other < AGREES[form.precision], f"{other:.2g} of the compiled codes differ from eager ones"


def in_turns(runs: Sequence[Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> list[float]:
    """-> median milliseconds of each, after a warm-up."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(WARM_UP + rounds):
        for run, found in zip(runs, times, strict=True):
            started = clock()
            run()
            found.append(1e3 * (clock() - started))
    return [statistics.median(found[WARM_UP:]) for found in times]


def cut(
    state: State, action: torch.Tensor, temperature: torch.Tensor, size: int
) -> list[tuple[State, torch.Tensor, torch.Tensor]]:
    """In pieces of `size` rows and what is left."""
    rows = (slice(i, i + size) for i in range(0, len(action), size))
    return [(state.select(each), action[each], temperature[each]) for each in rows]


@torch.inference_mode()
def measure(dynamics: Dynamics, package: Package, form: Form) -> Gains:
    """By processor time, which others on the same cores change little; of one thread."""

    def gain(players: int) -> float:
        given = example(dynamics, players)
        pieces = cut(*given, form.players)
        runs = [lambda: step(dynamics, *given), lambda: [package(*piece) for piece in pieces]]
        eager, frozen = in_turns(runs, ROUNDS, time.process_time)
        return eager / frozen

    return {players: gain(players) for players in form.measured}


def end_with_stdin() -> None:
    """Kills this process's group when stdin ends, so that no C++ compiler outlives whoever holds the other end."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    folder, form, package = Path(sys.argv[1]), Form.of(sys.argv[2]), Path(sys.argv[3])
    if "--leash" in sys.argv[4:]:
        end_with_stdin()
        os.nice(19)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=package.parent) as scratch:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = scratch
        made = Path(scratch) / package.name
        dynamics = load_world_model(folder)[0].cpu()
        compile_step(dynamics, form, made)
        found = Package(made, form)
        check(dynamics, found, form)
        write_gains(package, measure(dynamics, found, form))
        made.replace(package)


if __name__ == "__main__":
    main()
