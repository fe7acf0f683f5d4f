"""Where the processes of one machine find each other: unix sockets under the data directory.

The kernel keeps about 100 bytes for a socket's path. A longer one moves to a short folder under the temporary
directory whose name is derived from the data directory, so that every process finds the same place.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from store.settings import settings

MAX_SOCKET_PATH = 100


def socket_path(name: str, data_dir: Path | None = None) -> Path:
    """Absolute path of the socket `name`; does not create its folder."""
    root = (data_dir or settings().data_dir).absolute()
    path = root / "sockets" / name
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    short = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"terrarium-{os.getuid()}-{short}" / name


def player_url() -> str:
    """`ws://host:port` from the settings, else `unix:///path` under the data directory."""
    return settings().player_url or f"unix://{socket_path('player.sock')}"
