"""(config, out_dir, progress) -> result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toy_kinds import FrameConfig, PaintConfig

from terrarium.worlds.progress import Progress


def paint(config: PaintConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    sizes = [json.loads((Path(folder) / "manifest.json").read_text())["frame_size"] for folder in config.data]
    for stroke in range(config.strokes):
        progress.step(stroke + 1, config.strokes, "paint")
    return write(out_dir, "painting", {"sizes": sizes, "strokes": config.strokes})


def frame(config: FrameConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    painting = json.loads((Path(config.painting) / "manifest.json").read_text())
    return write(out_dir, "framed", {"strokes": painting["strokes"]})


def write(out_dir: Path, type: str, facts: dict[str, Any]) -> dict[str, Any]:
    (out_dir / "output").mkdir(parents=True, exist_ok=True)
    (out_dir / "output" / "manifest.json").write_text(json.dumps({"kind": type} | facts))
    return facts
