"""`jit`: numba as this package uses it, compiled once and kept on disk; threads may run it side by side.

numba's cache watches a function's own file only, but constants and functions of the other files are compiled
in. So a compiled file older than any source that it may hold is forgotten here, before it is loaded.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from numba import njit

jit = njit(cache=True, nogil=True)


def forget_stale(folder: Path) -> None:
    """Remove the folder's compiled files that are older than its sources."""
    newest = max(source.stat().st_mtime_ns for source in folder.glob("*.py"))
    for index in folder.glob("__pycache__/*.nbi"):
        with suppress(OSError):  # another process may be first; a read-only install has nothing to remove
            if index.stat().st_mtime_ns < newest:
                index.unlink()


forget_stale(Path(__file__).parent)
