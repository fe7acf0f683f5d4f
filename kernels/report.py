"""What every program would use of a GPU, compiled with none at hand.

python -m terrarium.kernels.report [--capability 80|90|100] [OPERATOR ...]
"""

from __future__ import annotations

import argparse

from terrarium.kernels.cases import operators
from terrarium.kernels.compile_only import H100, TENSOR_CORES, Resources, compile_case


def describe(resources: Resources) -> str:
    loads = " ".join(f"{count}x{width}B" for width, count in resources.loads.items())
    stores = " ".join(f"{count}x{width}B" for width, count in resources.stores.items())
    cores = "  tensor cores" if resources.tensor_cores else ""
    return (
        f"{resources.registers:4d} registers  {resources.spill_bytes} spilled  {resources.local_bytes} local  "
        f"{resources.shared_bytes:6d} shared  loads {loads}  stores {stores}{cores}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="OPERATOR")
    parser.add_argument("--capability", type=int, default=H100, choices=TENSOR_CORES, help="80 A100, 90 H100, 100 B200")
    given = parser.parse_args()
    known = operators()
    if unknown := set(given.names) - set(known):
        raise SystemExit(f"{', '.join(sorted(unknown))}: no such operator; there are {', '.join(known)}")
    for name in given.names or known:
        for case in known[name].COMPILE():
            used = describe(compile_case(case, given.capability))
            print(f"{name:12s} {case.name:32s} {case.num_warps} warps {used}", flush=True)


if __name__ == "__main__":
    main()
