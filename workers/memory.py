"""How much memory a process and its descendants have, as Linux tells it; None elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


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


def _parent_and_pages(folder: Path) -> tuple[int, int] | None:
    """None where the process has ended meanwhile."""
    try:
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        return int(after_name[1]), int((folder / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
