"""worlds/episodes/sources/decoder.py, where libav would do what the first word of the file's name says."""

import ctypes
import os
import time
from pathlib import Path

from terrarium.worlds.episodes.sources import decoder


def crash(path: Path) -> None:
    ctypes.string_at(0)


def hang(path: Path) -> None:
    time.sleep(600)


def spin(path: Path) -> None:
    while True:
        pass


def hog(path: Path) -> None:
    held = []
    while True:
        held.append(bytes(2**28))


def leak(path: Path) -> None:
    raise ValueError(" ".join(sorted(os.environ)))


def write(path: Path) -> None:
    try:
        path.with_suffix(".txt").write_text("owned")
    except OSError as e:
        raise ValueError(e.strerror) from None


healthy = decoder.decoded


def decoded(path: Path):
    """The first frame, then what it is told to do."""
    frames = healthy(path)
    yield next(frames)
    deed = globals().get(path.stem.split("_")[0])
    if callable(deed):
        deed(path)
    yield from frames


decoder.decoded = decoded
decoder.main()
