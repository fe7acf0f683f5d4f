"""Where gateway and player find each other."""

from __future__ import annotations

from terrarium.store.embedded import socket_dir
from terrarium.store.settings import settings


def player_url() -> str:
    """`ws://host:port` from the settings, else `unix:///path`: a socket of the data directory."""
    return settings().player_url or f"unix://{socket_dir(settings().data_dir)}/player.sock"
