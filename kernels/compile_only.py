"""Compiles a Triton program for a GPU that is not there, and reads what it will use of it.

The PTX tells how wide the loads are and whether tensor cores are used; ptxas tells registers, spills and local memory.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from terrarium.kernels.cases import CompileCase

A100, H100, B200 = 80, 90, 100  # compute capability, ten times
TENSOR_CORES = {A100: "mma.sync", H100: "wgmma.mma_async", B200: "tcgen05.mma"}  # as they stand in the PTX


@dataclass(frozen=True)
class Resources:
    """Of one thread, but for shared_bytes, which is of one program."""

    registers: int
    spill_bytes: int
    local_bytes: int
    shared_bytes: int
    loads: dict[int, int]  # bytes a thread and instruction -> how many such loads from global memory
    stores: dict[int, int]
    tensor_cores: bool


def compile_case(case: CompileCase, capability: int = H100) -> Resources:
    """For one of TENSOR_CORES. Raises what Triton or ptxas raise where the program cannot be compiled."""
    options = {"num_warps": case.num_warps, "num_stages": case.num_stages}
    compiled = triton.compile(_source(case), target=GPUTarget("cuda", capability, 32), options=options)
    ptx = compiled.asm["ptx"]
    told = _ptxas(ptx, capability)
    return Resources(
        registers=_number(r"Used (\d+) registers", told),
        spill_bytes=_number(r"(\d+) bytes spill stores", told) + _number(r"(\d+) bytes spill loads", told),
        local_bytes=_number(r"(\d+) bytes stack frame", told),
        shared_bytes=compiled.metadata.shared,
        loads=_widths("ld", ptx),
        stores=_widths("st", ptx),
        tensor_cores=TENSOR_CORES[capability] in ptx,
    )


def _source(case: CompileCase) -> ASTSource:
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[tuple[int], list[list[Any]]] = {}
    for i, name in enumerate(case.program.arg_names):
        value = case.arguments[name]
        if isinstance(value, str):
            kind, _, divisor = value.partition(":")
            signature[name] = kind
            if divisor:
                attributes[(i,)] = [["tt.divisibility", int(divisor)]]
        else:
            signature[name], constants[name] = "constexpr", value
    return ASTSource(case.program, signature, constants, attributes)


def _ptxas(ptx: str, capability: int) -> str:
    """What ptxas says with -v, one line a fact."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "program.ptx"
        source.write_text(ptx)
        own = "a" if capability >= H100 else ""  # instructions of that architecture alone
        tool = triton.knobs.nvidia.ptxas_blackwell if capability >= B200 else triton.knobs.nvidia.ptxas
        command = [tool.path, "-v", f"--gpu-name=sm_{capability}{own}", source, "-o", f"{source}.cubin"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found is not None, f"{pattern} not in what ptxas says: {text}"
    return int(found[1])


def _widths(instruction: str, ptx: str) -> dict[int, int]:
    widths: Counter[int] = Counter()
    for parts, bits in re.findall(rf"\b{instruction}\.global[\w.:]*?(?:\.v(\d))?\.[busf](\d+)\b", ptx):
        widths[int(parts or 1) * int(bits) // 8] += 1
    return dict(sorted(widths.items(), reverse=True))
