"""The pulse of a service that has no port: it touches a file again and again, and `terrarium up` looks (cli/up.py).

A process that stands still, whatever the reason, touches nothing.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

EVERY_S = 1.0


def beat() -> None:
    """Touches the file that TERRARIUM_PULSE names, if it does."""
    if path := os.environ.get("TERRARIUM_PULSE"):
        with suppress(OSError):
            Path(path).touch()


def keep_beating() -> None:
    """In a thread, for a service whose main loop is not ours."""
    threading.Thread(target=_beat_on, daemon=True, name="pulse").start()


def _beat_on() -> None:
    while True:
        beat()
        time.sleep(EVERY_S)
