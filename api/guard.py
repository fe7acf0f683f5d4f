"""What every request passes before it reaches an endpoint: Host, Origin, size, API key; and the headers that answers
carry.

Host against DNS rebinding: a page of another name that resolves to this machine must not talk to it. Origin against
cross-site requests: a browser names the page that a request is from; other clients send none.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import uuid4

from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terrarium.api import metrics
from terrarium.api.access import ACCESS, SAFE_METHODS
from terrarium.api.errors import DATABASE_DOWN, answer, database_down, shorten
from terrarium.store import logs
from terrarium.store.errors import Forbidden, TerrariumError, TooLarge
from terrarium.store.settings import settings

MAX_BODY = 2**20
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UPLOADS = "/v1/uploads"  # streamed to the disk, not into memory
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}


class Guard:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        request = request_id(scope)
        with logs.about(request=request):
            await self._pass(request, scope, receive, send)

    async def _pass(self, request: str, scope: Scope, receive: Receive, send: Send) -> None:
        refused = refusal(scope)
        if scope["type"] == "websocket":  # its ticket is its key
            if refused is None:
                return await self.app(scope, receive, send)
            return await send({"type": "websocket.close", "code": 1008, "reason": refused.message})
        await self._http(request, refused, scope, receive, send)

    async def _http(
        self, request: str, refused: TerrariumError | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        started, status, received = time.perf_counter(), 500, 0
        most, unit = limit(scope)

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:  # a body that did not say how long it is
                raise HTTPException(413, f"the body has more than {most} {unit}")
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = request
                if scope["path"].startswith("/assets/") and status == 200:  # named by their content's hash
                    headers["Cache-Control"] = "public, max-age=31536000, immutable"
            await send(message)

        try:
            refused = refused or await self._identify(scope)
            app = self.app if refused is None else answer(refused)
            await app(scope, receive_limited, send_with_headers)
        finally:
            route = scope.get("route")
            path = route.path if isinstance(route, APIRoute) else "other"  # never the client's own: unbounded
            metrics.count(scope["method"], path, status, time.perf_counter() - started)

    async def _identify(self, scope: Scope) -> TerrariumError | None:
        """Why a request is refused for its key. Whose it is stands in scope["identity"] from here on."""
        try:
            scope["identity"] = await ACCESS.admit(scope)
        except TerrariumError as e:
            return e
        except DATABASE_DOWN as e:
            return database_down(e)
        return None


def request_id(scope: Scope) -> str:
    """The client's own where it has the form of one, else a new one: it goes into logs."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid4().hex


def refusal(scope: Scope) -> TerrariumError | None:
    """Why a request is not let in; None where it is."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not allowed_host(host):
        message = f"host {shorten(host)!r} is not ours; TERRARIUM_ALLOWED_ORIGINS names the addresses that are"
        return TerrariumError(message, code="bad_host", status=400)
    if scope["type"] == "websocket" or scope["method"] in SAFE_METHODS:
        return None
    if not allowed_origin(headers.get("origin"), host):
        return Forbidden(f"origin {shorten(headers['origin'])!r} is not allowed to do this", code="bad_origin")
    length = headers.get("content-length", "0")
    most, unit = limit(scope)
    if length.isdecimal() and int(length) > most:
        return TooLarge(f"the body has {length} bytes, expected at most {most} {unit}")
    return None


def limit(scope: Scope) -> tuple[int, str]:
    """Of a request's body, in bytes, and what an error adds."""
    if scope["path"] == UPLOADS:
        return settings().max_upload_bytes, "bytes (TERRARIUM_MAX_UPLOAD_GB)"
    return MAX_BODY, "bytes"


def allowed_host(host: str) -> bool:
    """`host` is the header: a name, perhaps with a port."""
    name = _name_of(host)
    origins = {urlsplit(origin).hostname for origin in settings().allowed_origins}
    return name is not None and name in {"localhost", "127.0.0.1", "::1", settings().host} | origins


@lru_cache(maxsize=100)
def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def allowed_origin(origin: str | None, host: str) -> bool:
    if origin is None or origin in settings().allowed_origins:
        return True
    return origin in (f"http://{host}", f"https://{host}")
