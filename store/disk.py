"""The disk under the data directory: what is free, what lies there, and whether it is the reason for an error."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from terrarium.store.errors import Conflict
from terrarium.store.settings import settings

FULL_BYTES = 2**20  # with less than this free, whatever fails fails for that
_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
# How the libraries that write our files spell ENOSPC and EDQUOT: the kernel's own words, Rust's number (safetensors,
# obstore), and what is left of it in NumPy (array.tofile), Pillow (JPEG) and PyTorch.
_WORDS = re.compile(
    r"No space left on device|Disk quota exceeded|os error (28|122)\b|^\d+ requested and \d+ written$"
    r"|encoder error -\d+ when writing image file|PytorchStreamWriter failed writing|unexpected pos \d+ vs \d+"
)
_PARTS = ("datasets", "checkpoints", "runs")  # of a data directory: one folder for each dataset, ...


def free_bytes(path: Path) -> int:
    """What we may still write there; `path` itself may not exist yet."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def is_full(path: Path) -> bool:
    return free_bytes(path) < FULL_BYTES


def says_full(error: BaseException) -> bool:
    """Whether an exception, or one that it came from, says that a disk is full."""
    return any(
        getattr(e, "errno", None) in _ERRNOS or getattr(e, "sqlstate", None) == "53100" or _WORDS.search(str(e))
        for e in _causes(error)
    )


def check_room(data_dir: Path, needed: int, what: str) -> None:
    """Conflict (disk_full) with what is on the disk, if `needed` bytes more would eat into the reserve."""
    if free_bytes(data_dir) - needed < settings().reserve_bytes:
        raise Conflict(
            f"{what} takes about {human(needed)}, and {human(settings().reserve_bytes)} are kept in reserve "
            f"(TERRARIUM_RESERVE_MB); {describe(data_dir)}: remove something, or ask for less",
            code="disk_full",
        )


def describe(data_dir: Path) -> str:
    """What is free there, and what one could remove: '/data has 12.0 MB free; largest there: plays 1.2 GB, ...'.

    Looks at every file.
    """
    largest = sorted(_sizes(data_dir), key=lambda item: item[1], reverse=True)[:3]
    listed = ", ".join(f"{name} {human(size)}" for name, size in largest if size > 0)
    return f"{data_dir} has {human(free_bytes(data_dir))} free; largest there: {listed or 'nothing'}"


def human(size: float) -> str:
    """12345678 -> '12.3 MB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def size_of(path: Path) -> int:
    """Bytes on the disk of a file or of all that lies in a folder; what vanishes meanwhile counts nothing."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_blocks * 512
        return sum(size_of(Path(entry.path)) for entry in os.scandir(path))
    except OSError:
        return 0


def cut_log(path: Path, most: int, keep: int = 2**20) -> bool:
    """Cuts a log that has grown beyond `most` bytes down to its last `keep`, in place; True if it did.

    Whoever writes it must have opened it for appending.
    """
    try:
        if path.stat().st_size <= most:
            return False
        with path.open("rb+") as file:
            file.seek(-keep, os.SEEK_END)
            last = file.read()
            file.truncate(0)
            file.seek(0)
            file.write(last)
    except OSError:
        return False
    return True


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        original = getattr(error, "orig", None)  # SQLAlchemy's wrapper
        if isinstance(original, BaseException):
            yield original
        error = error.__cause__ or error.__context__


def _sizes(data_dir: Path) -> Iterator[tuple[str, int]]:
    """What the data directory holds, in parts that can be removed by themselves."""
    for entry in data_dir.iterdir():
        children = list(entry.iterdir()) if entry.name in _PARTS and entry.is_dir() else [entry]
        yield from ((str(child.relative_to(data_dir)), size_of(child)) for child in children)
