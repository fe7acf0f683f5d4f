"""Every operator against eager PyTorch and torch.compile, on the CPU and, where there is one, on the GPU.

    python -m terrarium.kernels.bench                       a table of everything
    python -m terrarium.kernels.bench --op conv_gru --quick one operator, its quick cases
    python -m terrarium.kernels.bench --device cuda         the GPU alone; cpu: the processor alone
    python -m terrarium.kernels.bench --json                one JSON line a row
    python -m terrarium.kernels.bench --save                also kept in kernels/bench/results/ (after a green test run)
    python -m terrarium.kernels.bench --show FILE           the table of a kept run

GB/s are the bytes that must cross the memory bus, divided by the median time; the ceiling is a plain copy, measured in
the same run. On a GPU the L2 cache is written over before each call, but calls below .2 ms are timed as a CUDA graph of
many, and what launching adds to each is a column of its own. On a CPU a small case lies in the caches, where it
may pass the ceiling, and so may any case on a machine that others keep busy. On a CPU the fused function takes the
naive path, so eager and compile are all the rows there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from terrarium.kernels.bench.measure import copy_bandwidth, rows
from terrarium.kernels.cases import BenchCase, operators

HERE = Path(__file__).parent
Row = dict[str, Any]


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {torch.get_num_threads()} threads"


def commit() -> str:
    """The checkout's, "-dirty" where files of it are changed; "unknown" outside a checkout."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def triton_version() -> str | None:
    try:
        return version("triton")
    except PackageNotFoundError:
        return None


def measure(cases: list[BenchCase], devices: list[str], budget_s: float) -> Iterator[Row]:
    made = {"torch": torch.__version__, "triton": triton_version(), "commit": commit()}
    made["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    for name in devices:
        device = torch.device(name)
        ceiling = copy_bandwidth(device, budget_s)
        for case in cases:
            if case.cpu or name == "cuda":
                yield from (
                    row | {"device": device_name(device)} | made for row in rows(case, device, ceiling, budget_s)
                )


HEADINGS = "| operator | case | dtype | implementation | p20 / p50 / p80 ms | launch ms | GB/s | of ceiling | peak MB |"


def table_line(row: Row) -> str:
    peak = "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.1f}"
    launching = f"{row['launch_ms']:.3f}" if row.get("launch_ms") else ""
    return (
        f"| {row['op']} | {row['case']} | {row['dtype']} | {row['impl']} "
        f"| {row['p20_ms']:.3f} / {row['p50_ms']:.3f} / {row['p80_ms']:.3f} | {launching} "
        f"| {row['gb_s']:.1f} | {row['share_of_ceiling']:.0%} | {peak} |"
    )


def table(measured: Iterator[Row]) -> Iterator[str]:
    """Markdown, a table a device."""
    device = None
    for row in measured:
        if row["device"] != device:
            device = row["device"]
            versions = f"torch {row['torch']}, triton {row['triton']}, commit {row['commit']}, {row['date'][:10]}"
            yield f"\n{device}: {versions}; copy {row['ceiling_gb_s']:.1f} GB/s\n"
            yield HEADINGS
            yield "|---|---|---|---|---|---|---|---|---|"
        yield table_line(row)


def keep(measured: Iterator[Row], path: Path) -> Iterator[Row]:
    with path.open("w") as file:
        for row in measured:
            print(json.dumps(row), file=file, flush=True)
            yield row


def arguments() -> argparse.Namespace:
    summary = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m terrarium.kernels.bench", description=summary)
    parser.add_argument("--op", action="append", help="an operator; may be given several times")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], help="if omitted, the CPU, then the GPU where there is one"
    )
    parser.add_argument("--quick", action="store_true", help="only the quick cases, and a tenth of the time for each")
    parser.add_argument("--json", action="store_true", help="one JSON line a row")
    parser.add_argument("--save", action="store_true", help="also keep the rows under kernels/bench/results/")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, print the table of a kept run")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    measured: Iterator[Row]
    if args.show:
        measured = (json.loads(line) for line in args.show.read_text().splitlines())
    else:
        known = operators()
        if unknown := set(args.op or []) - set(known):
            raise SystemExit(f"{', '.join(sorted(unknown))}: no such operator; there are {', '.join(known)}")
        cases = [c for name in args.op or known for c in known[name].BENCH if c.quick or not args.quick]
        if args.device == "cuda" and not torch.cuda.is_available():
            raise SystemExit("--device cuda: torch sees no GPU here")
        devices = [args.device] if args.device else ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        measured = measure(cases, devices, budget_s=0.2 if args.quick else 2.0)
    if args.save:
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        (HERE / "results").mkdir(exist_ok=True)
        measured = keep(measured, HERE / "results" / f"{datetime.date.today()}-{kind}-{commit()}.jsonl")
    for line in (json.dumps(row) for row in measured) if args.json else table(measured):
        print(line, flush=True)


if __name__ == "__main__":
    main()
