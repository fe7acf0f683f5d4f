"""Files and folders that survive a power cut: written under another name, synced, then renamed.

What has its name is complete; a name that begins with a dot is still being written. A draft is always a new file, never
an old one opened again: a process that still writes to a draft of its own, after another has taken its place, reaches
nothing that is read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def new_file(file: Path) -> Iterator[BinaryIO]:
    """A binary file that replaces `file` when the block ends. If the block raises, it is removed."""
    draft = file.with_name(f".{file.name}.partial")
    draft.unlink(missing_ok=True)
    try:
        with draft.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(file.parent)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder for files that replaces `folder` when the block ends. If the block raises, it is removed."""
    draft = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        for file in draft.iterdir():
            sync(file)
        sync(draft)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync(folder.parent)


def write_text(file: Path, text: str) -> None:
    with new_file(file) as stream:
        stream.write(text.encode())


def sync(path: Path) -> None:
    """Waits until a file's bytes, or a folder's names, are on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
