"""Untrusted zip archives: listed without unpacking, and refused unless they hold plain files.

Regular files only: no links, no names that lead elsewhere, none twice, none encrypted. The number of files, the list of
them and the ratio of their sizes to the archive's are capped, so that a small archive cannot fill memory or disk.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

MAX_FILES = 100_000
MAX_LIST = 2**24  # bytes of the archive's list of files, which is read into memory
MAX_RATIO = 200  # bytes unpacked for each byte of the archive; pictures of a block world have 5 to 50
ALWAYS_FINE = 2**20  # bytes unpacked, whatever the ratio
STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises on bytes that are no zip; NotImplementedError and RuntimeError on features that it lacks.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OverflowError)


@dataclass(frozen=True)
class Found:
    """A file that may be taken."""

    size: int  # bytes
    open: Callable[[], IO[bytes]]


@contextmanager
def open_archive(file: Path) -> Iterator[dict[str, Found]]:
    """{name: file} of a zip. ValueError, also where reading a file of it fails, says what is wrong with the archive."""
    try:
        with _Bounded(io.FileIO(file)) as raw, zipfile.ZipFile(raw) as archive:
            yield _listed(archive, file.stat().st_size)
    except BROKEN as e:
        raise ValueError(f"the archive is damaged, or no zip: {e}") from None


class _Bounded(io.BufferedReader):
    """zipfile reads the list of files in one piece, as long as the archive says it is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_LIST:
            raise ValueError(f"the archive's list of files has {size} bytes, expected at most {MAX_LIST}")
        return super().read(size)


def _listed(archive: zipfile.ZipFile, size: int) -> dict[str, Found]:
    entries = [info for info in archive.infolist() if not info.is_dir()]
    if len(entries) > MAX_FILES:
        raise ValueError(f"the archive holds {len(entries)} files, expected at most {MAX_FILES}")
    total = sum(info.file_size for info in entries)
    if total > max(MAX_RATIO * size, ALWAYS_FINE):
        raise ValueError(f"the archive of {size} bytes unpacks to {total}, expected at most {MAX_RATIO} times as many")
    found: dict[str, Found] = {}
    for info in archive.infolist():
        _check(info, size)
        if info.filename in found:
            raise ValueError(f"the archive holds {_short(info.filename)} twice")
        if not info.is_dir():
            found[info.filename] = Found(info.file_size, partial(archive.open, info))
    return found


def _check(info: zipfile.ZipInfo, size: int) -> None:
    name = info.orig_filename
    parts = name.removesuffix("/").split("/")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"the archive holds {_short(name)}: expected relative names, without . and ..")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind and kind != (stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        what = "a link" if kind == stat.S_IFLNK else "a special file"
        raise ValueError(f"the archive holds {_short(name)}, which is {what}: expected regular files only")
    if info.flag_bits & 1:
        raise ValueError(f"the archive holds {_short(name)} encrypted")
    if info.compress_type not in STORED:
        raise ValueError(f"the archive holds {_short(name)} compressed by a method other than deflate")
    if not 0 <= info.header_offset < size:
        raise ValueError(f"the archive is damaged: {_short(name)} lies outside it")


def _short(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:80]}...")
