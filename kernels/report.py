"""What every program would use of an H100, compiled here with no GPU.

python -m terrarium.kernels.report [OPERATOR ...]
"""

from __future__ import annotations

import sys

from terrarium.kernels.cases import operators
from terrarium.kernels.compile_only import Resources, compile_case


def describe(resources: Resources) -> str:
    loads = " ".join(f"{count}x{width}B" for width, count in resources.loads.items())
    stores = " ".join(f"{count}x{width}B" for width, count in resources.stores.items())
    return (
        f"{resources.registers:4d} registers  {resources.spill_bytes} spilled  {resources.local_bytes} local  "
        f"{resources.shared_bytes:6d} shared  loads {loads}  stores {stores}{'  wgmma' if resources.wgmma else ''}"
    )


def main(names: list[str]) -> None:
    known = operators()
    if unknown := set(names) - set(known):
        raise SystemExit(f"{', '.join(sorted(unknown))}: no such operator; there are {', '.join(known)}")
    for name in names or known:
        for case in known[name].COMPILE():
            print(f"{name:12s} {case.name:32s} {case.num_warps} warps {describe(compile_case(case))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
