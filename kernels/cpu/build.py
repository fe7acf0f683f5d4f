"""Compiles the C programs of this folder for the processor at hand, and says which are in use.

They are compiled anew for each training (a few seconds): what one processor runs another may not.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

# Sums may be taken in the order that `#pragma omp simd` allows; what is no number stays none.
FLAGS = (
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-fPIC",
    "-shared",
)
COMPILE_S = 120

_used: ctypes.CDLL | None = None


def compiled() -> ctypes.CDLL | None:
    """The programs; None, after a line on stderr, where they cannot be compiled: training is slower without them."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return ctypes.CDLL(str(_compile(Path(folder) / "programs.so")))
    except (OSError, ValueError, subprocess.SubprocessError) as e:
        errors = getattr(e, "stderr", None) or str(e)
        print(f"training without compiled programs: {errors.strip().splitlines()[0]}", file=sys.stderr, flush=True)
        return None


def _compile(library: Path) -> Path:
    sources = sorted(str(path) for path in Path(__file__).parent.glob("*.c"))
    compiler = shlex.split(os.environ.get("CC") or "cc")
    command = [*compiler, *FLAGS, *sources, "-lm", "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILE_S)
    return library


@contextmanager
def using(programs: ctypes.CDLL | None) -> Iterator[None]:
    """Operators take the programs meanwhile, and their gradients afterwards, too."""
    global _used
    before, _used = _used, programs
    try:
        yield
    finally:
        _used = before


def used(*tensors: torch.Tensor) -> ctypes.CDLL | None:
    """The programs, where they are in use and take all the tensors: fp32 or bf16 on the processor."""
    kinds = (torch.float32, torch.bfloat16)
    fit = all(x.device.type == "cpu" and x.dtype in kinds for x in tensors)
    return _used if fit else None


class Map(ctypes.Structure):
    """`Map` of rows.h."""

    _fields_ = [("at", ctypes.c_void_p), ("stride", ctypes.c_int64), ("kind", ctypes.c_int64)]

    @classmethod
    def of(cls, x: torch.Tensor) -> Map:
        return cls(x.data_ptr(), x.stride(0), int(x.dtype == torch.bfloat16))


def cells_last(x: torch.Tensor) -> torch.Tensor:
    """x [N, C, H, W], copied to channels-last unless each sample is; samples may lie apart."""
    return x if x[0].permute(1, 2, 0).is_contiguous() else x.contiguous(memory_format=torch.channels_last)


def pointer(x: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())
