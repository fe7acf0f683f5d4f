"""The gateway's server, the same everywhere: python -m terrarium.api.server, on TERRARIUM_HOST and TERRARIUM_PORT."""

from __future__ import annotations

import gc
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from terrarium.store import keys, logs
from terrarium.store.db import session_scope
from terrarium.store.play_protocol import MAX_MESSAGE
from terrarium.store.settings import settings

MAX_UNREAD = 2**20  # bytes waiting for a client: frames wait for its reading, but pongs to a flood of pings do not


class WebSockets(WebSocketsSansIOProtocol):
    """uvicorn's, less the client that sends and does not read."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_UNREAD:
            self.transport.abort()


OPTIONS: dict[str, Any] = {
    "ws": WebSockets,
    "ws_max_size": MAX_MESSAGE,  # a longer one ends the connection before it is in memory
    "ws_per_message_deflate": False,
    "access_log": False,
    "timeout_graceful_shutdown": 3,
}


def check_keys() -> None:
    """Ends the process where a key is needed to get in and nobody has one."""
    if not settings().needs_key:
        return
    with session_scope() as session:
        if keys.any_usable(session):
            return
    why = "TERRARIUM_REQUIRE_KEYS is set" if settings().require_keys else f"{settings().host} is not loopback"
    raise SystemExit(f"{why}, and there is no API key. Make one first: terrarium keys create NAME --scopes admin")


class Server(uvicorn.Server):
    async def startup(self, *args: Any, **options: Any) -> None:
        await super().startup(*args, **options)
        gc.collect()
        gc.freeze()  # what was imported stays: a full collection that walks it holds up every client for 80 ms


def main() -> None:
    check_keys()
    logs.begin()
    options = OPTIONS | ({"log_config": None} if logs.as_json() else {})  # None: uvicorn's lines go the way of ours
    server = Server(uvicorn.Config("terrarium.api.app:app", host=settings().host, port=settings().port, **options))
    server.run()
    if not server.started:
        raise SystemExit(3)  # as uvicorn's own command


if __name__ == "__main__":
    main()
