"""The process that decodes one video file, started by video.py: nobody knows who made the file, and libav is C.

It may take so much memory and processor time, write no file, and open nothing but files; it knows no secret and dies
with its parent. A JSON line on stdin says what is wanted (`main`). Messages on descriptor 1, as
multiprocessing.connection frames them:

    T + float64 [n]        presentation times of the next packets, in seconds
    F + uint8 [H, W, 3]    the next wanted frame
    .                      a frame that was not wanted
    E + text               what is wrong with the file; the last message

It imports no NumPy, which would double the time that it takes to start.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

PR_SET_PDEATHSIG = 1
MEMORY = 2**32  # bytes of address space; what 4096x4096 takes stands in docs/importing.md
MOST_PIXELS = 4096 * 4096
OPEN_FILES = 64
TIMES_AT_ONCE = 4096


def main() -> None:
    """{"path", "cpu_s"} sends the times of the file's frames; with "wanted", ascending numbers of frames, and "size",
    (H, W), those frames."""
    out = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)  # what libraries print is no message
    spec = json.loads(sys.stdin.readline())
    limit(spec["cpu_s"])
    path = Path(spec["path"])
    try:
        for message in frames(path, spec["wanted"], spec["size"]) if "wanted" in spec else times(path):
            out.send_bytes(message)
    except MemoryError:
        expected = f"expected at most {MEMORY >> 30} GiB"
        out.send_bytes(f"E{path.name} takes more memory to decode than there may be: {expected}".encode())
    except ValueError as e:
        out.send_bytes(f"E{e}".encode())
    os._exit(0)  # without a last word to libav's threads


def limit(cpu_s: int) -> None:
    """Of this process, for good."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    most = {"AS": MEMORY, "CPU": cpu_s, "FSIZE": 0, "NOFILE": OPEN_FILES, "CORE": 0}
    for name, value in most.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # A process at the hard limit of its time is killed, at the soft one it ends by a signal that tells why.
        resource.setrlimit(number, (value, hard if name == "CPU" else value))


def times(path: Path) -> Iterator[bytes]:
    """Of all frames, in the file's order; nothing is decoded."""
    with opened(path) as container:
        packets = container.demux(video_of(container, path))
        shown = (float(p.pts * p.time_base) for p in packets if p.pts is not None and not p.is_discard)
        while some := array("d", islice(shown, TIMES_AT_ONCE)):
            yield b"T" + some.tobytes()


def frames(path: Path, wanted: Iterable[int], size: tuple[int, int]) -> Iterator[bytes]:
    """Shrunk by area averaging, stretched where the sides' ratio differs."""
    height, width = size
    numbers = iter(wanted)
    number = next(numbers, None)
    for i, frame in enumerate(decoded(path)):
        if i != number:
            yield b"."
            continue
        picture = frame.reformat(width, height, "rgb24", interpolation="AREA").planes[0]
        rows = memoryview(picture)
        yield b"F" + b"".join(rows[y * picture.line_size :][: width * 3] for y in range(height))
        if (number := next(numbers, None)) is None:
            return
    if number is not None:
        raise ValueError(f"{path.name} ends before frame {number}")


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with opened(path) as container:
        stream = video_of(container, path)
        stream.thread_type = "AUTO"
        # An error, where libav would paint over the damage, or take a size that a later frame claims.
        stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(MOST_PIXELS)}
        for i, frame in enumerate(container.decode(stream)):
            if frame.is_corrupt:
                raise ValueError(f"{path.name} is damaged at frame {i}")
            yield frame


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """As mp4, whatever its first bytes say: a playlist would make libav open what it names."""
    try:
        container = av.open(f"file:{path}", format="mp4", options={"protocol_whitelist": "file"})
    except av.error.FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except MemoryError:
        raise
    except av.error.FFmpegError as e:
        raise ValueError(f"{path.name} is not a video: {e.strerror}: expected an mp4 file") from None
    with container:
        try:
            yield container
        except MemoryError:
            raise
        except av.error.FFmpegError as e:
            raise ValueError(f"{path.name} is damaged: {e.strerror}") from None


def video_of(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise ValueError(f"{path.name} holds no video")
    stream = container.streams.video[0]
    if stream.width * stream.height > MOST_PIXELS:
        found = f"{path.name} has frames of {stream.width}x{stream.height}"
        raise ValueError(f"{found}: expected at most 4096x4096 pixels in one")
    return stream


if __name__ == "__main__":
    main()
