"""Frames as a video."""

from __future__ import annotations

import io

import numpy as np


def mp4(frames: np.ndarray, fps: float) -> bytes:
    """H.264 of frames uint8 [T, H, W, 3]; an odd side gets a pixel more, since 4:2:0 wants even ones."""
    import av

    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=round(fps), options={"crf": "16"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
