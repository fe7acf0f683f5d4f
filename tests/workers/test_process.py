"""What a runner is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from terrarium.workers import process


def test_a_runner_gets_no_way_into_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe may run an environment that somebody else wrote."""
    for name in ("DATABASE_URL", "TERRARIUM_DATABASE_URL", "PGPASSWORD", "REDIS_URL", "TERRARIUM_REDIS_URL"):
        monkeypatch.setenv(name, "postgresql://me:secret@host/db")
    leaks = "[k for k, v in os.environ.items() if 'secret' in v]"
    shown = f"import json, os; print(json.dumps({{'type': 'env', 'leaks': {leaks}}}))"
    monkeypatch.setattr(process, "RUNNER", (sys.executable, "-c", shown))
    runner = process.RunnerProcess(tmp_path / "runner.log")
    try:
        assert runner.lines.get(timeout=30) == {"type": "env", "leaks": []}
    finally:
        runner.reap(patience_s=5)
