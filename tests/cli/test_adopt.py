from __future__ import annotations

import json
from pathlib import Path

from cli.adopt import copy_checkpoint


def test_a_copied_checkpoint_brings_the_starts_that_it_plays_from(tmp_path: Path) -> None:
    folder, data_dir = tmp_path / "mine", tmp_path / "data"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"kind": "world-model"}))
    for name in ("model.safetensors", "starts.npz", "notes.txt"):
        (folder / name).write_bytes(name.encode())
    target = data_dir / "checkpoints" / copy_checkpoint(folder, data_dir)
    assert sorted(p.name for p in target.iterdir()) == ["manifest.json", "model.safetensors", "starts.npz"]
    assert copy_checkpoint(folder, data_dir) == target.name
