"""The memory that a call takes at its peak, by Linux' own count of this process's resident pages (proc(5))."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")
RESET_PEAK = "5"  # what /proc/PID/clear_refs takes for: the peak is what is resident now


def peak_mb(call: Callable[[], object]) -> float | None:
    """By how many MB the resident memory grows at most while `call` runs; None where the system does not say.

    Memory that was freed before but is still held by the allocator is given back first: taking it again would not
    count.
    """
    with suppress(AttributeError):  # a C library other than glibc has no such function
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROCESS / "clear_refs").write_text(RESET_PEAK)
    except OSError:
        return None
    before = _resident_kb("VmRSS")
    call()
    return round((_resident_kb("VmHWM") - before) * 1.024e-3, 1)


def _resident_kb(field: str) -> int:
    """In KiB: `VmRSS`, now, or `VmHWM`, at the peak."""
    lines = dict(line.split(":", 1) for line in (PROCESS / "status").read_text().splitlines())
    return int(lines[field].split()[0])
