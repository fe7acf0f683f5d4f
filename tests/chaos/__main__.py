"""Minutes of faults under a real Terrarium with clients at work, then its promises are checked.

    python -m tests.chaos --seed 1 --minutes 10 --json

Faults and work are drawn by the seed; when they strike depends on the machine. The last line is one JSON object with
counts of what was broken; the exit code is 1 if anything was. Evidence (what was struck and when, what clients were
told, the database, logs) is kept in a folder, by default below the temporary directory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.invariants import INVARIANTS
from tests.chaos.machine import MEGABYTES, Machine
from tests.chaos.run import Run
from tests.small_disk import small_disk


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="draws faults and work")
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults; start, calm and checks come on top")
    parser.add_argument("--evidence", type=Path, help="folder for what is kept of the run")
    parser.add_argument("--compose", action="store_true", help="docker compose instead of `terrarium up`")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    arguments = parser.parse_args()
    evidence = arguments.evidence or Path(tempfile.mkdtemp(prefix=f"terrarium-chaos-{arguments.seed}-"))
    evidence.mkdir(parents=True, exist_ok=True)
    print(f"evidence: {evidence}", file=sys.stderr, flush=True)
    with ExitStack() as stack:
        machine, faults = compose() if arguments.compose else embedded(stack)
        found = Run(machine, faults, arguments.seed, arguments.minutes, evidence).go()
    broken = {name: lines for name, lines in json.loads((evidence / "broken.json").read_text()).items() if lines}
    if not arguments.json:
        for name, lines in broken.items():
            print(f"{name}:", *lines, sep="\n  ")
    print(json.dumps(found))
    return 1 if any(found[name] for name in INVARIANTS) else 0


def embedded(stack: ExitStack) -> tuple[Any, dict[str, Fault]]:
    """A `terrarium up`; its disk is taken away when `stack` is closed."""
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    stack.callback(shutil.rmtree, home, ignore_errors=True)
    try:
        stack.enter_context(small_disk(home / "disk", MEGABYTES))
        has_small_disk = True
    except pytest.skip.Exception as e:
        print(f"no fault of a full disk: {e}", file=sys.stderr)
        has_small_disk = False
    return Machine(home, has_small_disk), FAULTS


def compose() -> tuple[Any, dict[str, Fault]]:
    from tests.chaos.containers import Containers, faults

    containers = Containers()
    return containers, faults(containers)


if __name__ == "__main__":
    sys.exit(main())
