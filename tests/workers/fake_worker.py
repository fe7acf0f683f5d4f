"""`celery -A fake_worker worker`: the real worker with tests/workers/fake_runner.py in the recipe's place."""

from __future__ import annotations

import sys
from pathlib import Path

from terrarium.workers import process
from terrarium.workers.celery_app import app

process.RUNNER = (sys.executable, str(Path(__file__).with_name("fake_runner.py")))
__all__ = ["app"]
