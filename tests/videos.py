"""Small videos and action files in the layouts of worlds/world_model/sources."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np

BITS = 8


def bars(i: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """A frame uint8 [H, W, 3] that shows its number: eight upright bars, white where the bit is set."""
    bits = (i >> np.arange(BITS)) & 1
    row = np.repeat(bits * 200 + 20, size[1] // BITS).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (*size, 3)).copy()


def number(frame: np.ndarray) -> int:
    """The number that `bars` drew, after compression and resizing."""
    columns = frame.mean(axis=(0, 2)).reshape(BITS, -1)
    middle = columns[:, columns.shape[1] // 3 : -(columns.shape[1] // 3)].mean(axis=1)
    return int(((middle > 120) << np.arange(BITS)).sum())


def write_video(path: Path, frames: list[np.ndarray], fps: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def numbered(n: int, first: int = 0) -> list[np.ndarray]:
    return [bars(first + i) for i in range(n)]


def damage(path: Path) -> None:
    """Overwrites the middle of a file: it still opens, and breaks while it is read."""
    data = bytearray(path.read_bytes())
    middle = slice(len(data) // 3, 2 * len(data) // 3)
    data[middle] = bytes(len(data[middle]))
    path.write_bytes(data)


def gamefactory(root: Path, name: str, frames: int, actions: dict[int, dict[str, float]], entries: int = 0) -> None:
    """One recording: `frames` numbered frames; `actions` are the entries that are not all zero."""
    write_video(root / "video" / f"{name}.mp4", numbered(frames), fps=16)
    idle = {"ws": 0, "ad": 0, "scs": 0, "yaw_delta": 0.0, "pitch_delta": 0.0, "pos": [0.0, 70.0, 0.0]}
    table = {str(i): idle | actions.get(i, {}) for i in range(entries or frames)}
    (root / "metadata").mkdir(exist_ok=True)
    (root / "metadata" / f"{name}.json").write_text(json.dumps({"biome": "plains", "actions": table}))


def minerl(
    root: Path, name: str, steps: int, lead: int = 0, fps: int = 20, duration_ms: float | None = None, step: int = 1
) -> None:
    """One recording of `steps` actions; action i turns i / 10 degrees right and i / 20 down, and holds forward.

    The video shows state s as frame `lead + s * step`; `lead` frames come before the first state.
    """
    folder = root / name
    write_video(folder / "recording.mp4", numbered(lead + steps * step + 1), fps)
    keys = ("forward", "left", "back", "right", "jump", "sneak", "sprint", "attack")
    arrays = {f"action${key}": np.full(steps, int(key == "forward")) for key in keys}
    camera = np.stack([np.arange(steps) / 20, np.arange(steps) / 10], axis=1).astype(np.float32)
    np.savez(folder / "rendered.npz", **arrays, **{"action$camera": camera, "reward": np.zeros(steps)})
    if duration_ms is not None:
        facts = {"duration_ms": duration_ms, "duration_steps": steps, "success": True}
        (folder / "metadata.json").write_text(json.dumps(facts))


def vpt(root: Path, name: str, frames: int, ticks: list[dict]) -> None:
    """One recording; a tick is {"keys": [...], "dx", "dy", "menu"}, all of them optional."""
    write_video(root / f"{name}.mp4", numbered(frames), fps=20)
    lines = [
        {
            "mouse": {"x": 640.0, "y": 360.0, "dx": t.get("dx", 0.0), "dy": t.get("dy", 0.0), "buttons": []},
            "keyboard": {"keys": [f"key.keyboard.{key}" for key in t.get("keys", [])], "newKeys": [], "chars": ""},
            "isGuiOpen": t.get("menu", False),
            "hotbar": 0,
            "tick": i,
        }
        for i, t in enumerate(ticks)
    ]
    (root / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
