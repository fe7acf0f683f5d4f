"""Compiled files older than a source are forgotten."""

import os

from terrarium.worlds.blocks.jit import forget_stale


def test_only_stale_files_go(tmp_path):
    (tmp_path / "__pycache__").mkdir()
    source = tmp_path / "a.py"
    old, new = tmp_path / "__pycache__/a.f.nbi", tmp_path / "__pycache__/a.g.nbi"
    for path, age in ((source, 100), (old, 50), (new, 150)):
        path.touch()
        os.utime(path, (age, age))
    forget_stale(tmp_path)
    assert not old.exists() and new.exists()
    os.utime(source, (200, 200))
    forget_stale(tmp_path)
    assert not new.exists()
