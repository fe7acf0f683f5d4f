"""Clients that open a stream and never read it."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from terrarium.store.play_protocol import SUBPROTOCOL


def stop_reading(url: str, key: str, job: str | None, for_s: float) -> None:
    """Sits on the events of `job` and on a live session; returns at once."""
    if job is not None:
        threading.Thread(target=_events, args=(url, key, job, for_s), daemon=True).start()
    threading.Thread(target=_play, args=(url, key, for_s), daemon=True).start()


def _events(url: str, key: str, job: str, for_s: float) -> None:
    address = httpx.URL(url)
    with suppress(OSError), socket.create_connection((address.host, address.port or 80), 5) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: {address.host}\r\nAuthorization: Bearer {key}\r\n\r\n"
        stream.sendall(head.encode())
        time.sleep(for_s)


def _play(url: str, key: str, for_s: float) -> None:
    with suppress(OSError, httpx.HTTPError, WebSocketException, TimeoutError):
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{url}/v1/play/sessions", json={"seed": 1}, headers=headers, timeout=10)
        session = answer.raise_for_status().json()
        address = url.replace("http", "ws", 1) + session["url"]
        with connect(
            address,
            subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol(session["ticket"])],
            max_queue=1,
            close_timeout=1,
        ) as ws:
            for _ in range(int(for_s)):
                ws.send(json.dumps({"type": "settings"}))  # each is answered, and no answer is read
                time.sleep(1.0)
