"""Video files as small frames. Decoding streams: of an hour of video one full-size frame is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream


def frame_times(path: Path) -> np.ndarray:
    """Presentation times of all frames in seconds, float64 [N], ascending; nothing is decoded.

    ValueError for a file that is missing, no video, or shorter than two frames.
    """
    with _open(path) as container:
        try:
            stream = _stream(container, path)
            packets = container.demux(stream)
            times = [float(p.pts * p.time_base) for p in packets if p.pts is not None and not p.is_discard]
        except av.error.FFmpegError as e:
            raise ValueError(f"{path.name} is damaged: {e.strerror}") from None
    if len(set(times)) < 2:
        raise ValueError(f"{path.name} has {len(times)} frames: expected at least 2")
    return np.sort(times)


def fps_of(times: np.ndarray) -> float:
    """Frames a second on average, from `frame_times`."""
    return (len(times) - 1) / float(times[-1] - times[0])


def read_frames(path: Path, wanted: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames number `wanted` (int [T], ascending, repeats allowed) as uint8 RGB [H, W, 3] of `size` (H, W).

    Shrunk by area averaging, stretched where the sides' ratio differs. ValueError where a frame is damaged or missing.
    """
    height, width = size
    at = 0
    for i, frame in enumerate(_decode(path)):
        if at == len(wanted):
            return
        if wanted[at] > i:
            continue
        picture = frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
        while at < len(wanted) and wanted[at] == i:
            yield picture
            at += 1
    if at < len(wanted):
        raise ValueError(f"{path.name} ends before frame {wanted[at]}")


def _decode(path: Path) -> Iterator[av.VideoFrame]:
    with _open(path) as container:
        stream = _stream(container, path)
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}  # an error, where libav would paint over the damage
        try:
            for i, frame in enumerate(container.decode(stream)):
                if frame.is_corrupt:
                    raise ValueError(f"{path.name} is damaged at frame {i}")
                yield frame
        except av.error.FFmpegError as e:
            raise ValueError(f"{path.name} is damaged: {e.strerror}") from None


def _open(path: Path) -> InputContainer:
    try:
        return av.open(str(path))
    except av.error.FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except av.error.FFmpegError as e:
        raise ValueError(f"{path.name} is not a video: {e.strerror}") from None


def _stream(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise ValueError(f"{path.name} holds no video")
    return container.streams.video[0]
