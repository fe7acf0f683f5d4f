"""How much memory a process and its descendants have, as Linux tells it; None elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from terrarium.store.settings import settings

PROC = Path("/proc")
CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # versions 2 and 1
SHARE = 0.9  # of what the machine or the container has, for a runner


def resident_bytes(pid: int | None = None) -> int | None:
    """Resident memory of `pid` (this process if omitted) and of all that it has started; pages that they share count
    more than once."""
    if not (PROC / "self" / "statm").exists():
        return None
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and (found := _parent_and_pages(folder)) is not None:
            parent, pages[int(folder.name)] = found
            children.setdefault(parent, []).append(int(folder.name))
    total, family = 0, [os.getpid() if pid is None else pid]
    while family:
        one = family.pop()
        total += pages.get(one, 0)
        family += children.get(one, ())
    return total * os.sysconf("SC_PAGE_SIZE")


def children_of(pid: int) -> list[int]:
    """Those that live; none elsewhere than on Linux, and where `pid` has ended."""
    try:
        return [int(child) for child in (PROC / f"{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _parent_and_pages(folder: Path) -> tuple[int, int] | None:
    """None where the process has ended meanwhile."""
    try:
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        return int(after_name[1]), int((folder / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return None


def runner_limit_bytes() -> int:
    """What a runner and its children may take: TERRARIUM_RUNNER_MEMORY_GB, or nine tenths of what there is."""
    if settings().runner_memory_gb:
        return int(settings().runner_memory_gb * 1e9)
    there = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    there += [int(text) for file in CGROUP if file.is_file() and (text := file.read_text().strip()).isdecimal()]
    return int(SHARE * min(there))
