"""Video files as small frames, of an hour of video one at a time. What libav makes of a file that a stranger sent
happens in a process of its own (decoder.py): one that crashes, hangs or takes too much is a ValueError here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

DECODER = "terrarium.worlds.episodes.sources.decoder"
MOST_FRAMES = 2**23  # 39 hours at 60 a second; their times are kept
LONGEST_MESSAGE = 2**20
SILENCE_S = 60.0  # without a frame
CPU_S, CPU_S_A_FRAME = 600, 1  # a frame of 4096x4096 takes less than a second (docs/importing.md)


def frame_times(path: Path) -> np.ndarray:
    """Presentation times of all frames in seconds, float64 [N], ascending; nothing is decoded.

    ValueError for a file that is missing, no video, or shorter than two frames.
    """
    parts, n = [], 0
    for message in _messages(path, cpu_s=CPU_S):
        parts.append(np.frombuffer(message, np.float64, offset=1))
        n += len(parts[-1])
        if n > MOST_FRAMES:
            raise ValueError(f"{path.name} has over {MOST_FRAMES} frames: expected a shorter video")
    times = np.unique(np.concatenate(parts)) if parts else np.empty(0)
    if len(times) < 2:
        raise ValueError(f"{path.name} has {n} frames: expected at least 2")
    return np.sort(np.concatenate(parts))


def fps_of(times: np.ndarray) -> float:
    """Frames a second on average, from `frame_times`."""
    return (len(times) - 1) / float(times[-1] - times[0])


def read_frames(path: Path, wanted: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames number `wanted` (int [T], ascending, repeats allowed) as uint8 RGB [H, W, 3] of `size` (H, W).

    Shrunk by area averaging, stretched where the sides' ratio differs. ValueError where a frame is damaged or missing.
    """
    numbers, repeats = np.unique(wanted, return_counts=True)
    cpu_s = CPU_S + CPU_S_A_FRAME * int(numbers[-1] + 1)
    shown = (m for m in _messages(path, cpu_s=cpu_s, wanted=numbers.tolist(), size=size) if m[:1] == b"F")
    for message, n in zip(shown, repeats, strict=True):
        picture = np.frombuffer(message, np.uint8, offset=1).reshape(*size, 3)
        yield from [picture] * n


def _messages(path: Path, **spec: Any) -> Iterator[bytes]:
    """What the decoder sends until it ends well; ValueError where it does not. It never outlives this generator."""
    with _decoder(spec | {"path": str(path)}) as child, _output(child) as pipe:
        while pipe.poll(SILENCE_S):
            try:
                message = pipe.recv_bytes(LONGEST_MESSAGE)
            except (EOFError, OSError):  # OSError: within a message
                break
            if message.startswith(b"E"):
                raise ValueError(message[1:].decode())
            yield message
        else:
            raise ValueError(f"{path.name} hangs: expected a frame to decode within {SILENCE_S:g} s")
        code = child.wait()
    if code == -signal.SIGXCPU:
        raise ValueError(f"{path.name} takes over {spec['cpu_s']} s of processor time: expected less to decode")
    if code:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise ValueError(f"{path.name} crashed the decoder ({how}): expected an intact mp4 file")


@contextlib.contextmanager
def _decoder(spec: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    known = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    child = subprocess.Popen(
        [sys.executable, "-m", DECODER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=known | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdin is not None
    with child:
        try:
            with contextlib.suppress(BrokenPipeError), child.stdin:
                child.stdin.write(json.dumps(spec).encode() + b"\n")
            yield child
        finally:
            child.kill()


def _output(child: subprocess.Popen[bytes]) -> Connection:
    assert child.stdout is not None
    return Connection(os.dup(child.stdout.fileno()), writable=False)
