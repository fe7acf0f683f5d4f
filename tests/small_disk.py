"""A real disk that is small enough to be filled in a test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """`folder` as a tmpfs of that size. Where none may be mounted the test is skipped, but not in CI as root."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as e:
        reason = f"no tmpfs can be mounted here: {getattr(e, 'stderr', '') or e}"
        if os.environ.get("CI") and os.getuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Writes a file until not a byte more fits, and returns it."""
    file = disk / "filler"
    with file.open("ab", buffering=0) as stream:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    stream.write(bytes(size))
    return file
