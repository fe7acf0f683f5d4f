"""Who may do what: the API key of a request, and the scope that the request needs.

A key comes in `Authorization: Bearer`, or in the cookie that `POST /v1/login` sets for a browser, whose EventSource and
pictures send no header. The socket of live play is opened by its one-use ticket instead (play.py). Where the settings
ask for no key, nothing is looked at: a cookie of another Terrarium on this machine does no harm.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from terrarium.api.rate import Rate
from terrarium.store import keys
from terrarium.store.db import session_scope
from terrarium.store.errors import Forbidden, TooMany, Unauthorized
from terrarium.store.settings import settings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
ANYBODYS = ("/v1/login",)
ASKS = re.compile(r"/v1/job-kinds/[^/]+/candidates")  # a question, by POST since it has a body
REMEMBER_S = 5.0  # a key that was verified; so long it may outlive its revocation by another gateway


@dataclass(frozen=True)
class Identity:
    """Whose key it is."""

    id: UUID
    name: str
    scopes: frozenset[str]


class Access:
    """The keys of this gateway's clients."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Identity, float]] = {}  # by text, until when
        self._rates: dict[UUID, Rate] = {}

    async def admit(self, scope: Scope) -> Identity | None:
        """Whose request it is; None where no key is needed. Unauthorized, Forbidden or TooMany where it is refused."""
        needed = scope_of(scope["method"], scope["path"])
        if needed is None or not settings().needs_key:
            return None
        token = token_of(Headers(scope=scope))
        if token is None:
            message = "an API key is needed: Authorization: Bearer trm_..., made by `terrarium keys create`"
            raise Unauthorized(message, code="key_missing")
        identity = await self._identify(token)
        if not identity.scopes & {needed, "admin"}:
            has = ", ".join(sorted(identity.scopes))
            raise Forbidden(f"this needs the scope {needed}; key {identity.name!r} has {has}", code="scope_missing")
        most = settings().key_requests_per_minute
        if not self._rates.setdefault(identity.id, Rate(most, 60.0)).allows(time.monotonic()):
            message = f"key {identity.name!r} asks more than {most} times a minute (TERRARIUM_KEY_REQUESTS_PER_MINUTE)"
            raise TooMany(message, code="key_too_fast")
        return identity

    def forget(self) -> None:
        """Verifies every key anew: one was revoked."""
        self._known.clear()

    async def _identify(self, token: str) -> Identity:
        identity, until = self._known.get(token, (None, 0.0))
        if identity is None or time.monotonic() > until:
            self._known.pop(token, None)
            identity = await run_in_threadpool(_look_up, token)
            self._known[token] = identity, time.monotonic() + REMEMBER_S
        return identity


def _look_up(token: str) -> Identity:
    with session_scope() as session:
        key = keys.verify(session, token)
        return Identity(key.id, key.name, frozenset(key.scopes))


def identity_of(request: Request) -> Identity | None:
    """Who asks, as the guard found; None where no key is needed."""
    identity: Identity | None = request.scope.get("identity")
    return identity


def scope_of(method: str, path: str) -> str | None:
    """What a request needs; None for what anybody may: the client's files, the API's description, probes of health."""
    if path == "/metrics":
        return "read"
    if not path.startswith("/v1/") or path in ANYBODYS:
        return None
    if path.startswith(("/v1/api-keys", "/v1/webhooks")):
        return "admin"
    if path.startswith("/v1/queues/") and method not in SAFE_METHODS:
        return "admin"  # pausing one stops everybody's jobs
    if method in SAFE_METHODS or ASKS.fullmatch(path):
        return "read"
    return "play" if path == "/v1/play/sessions" else "submit"


def check_priority(identity: Identity | None, priority: int) -> None:
    """Forbidden where a job would pass by those of others, and the key is not an admin's."""
    if priority > 0 and identity is not None and "admin" not in identity.scopes:
        has = ", ".join(sorted(identity.scopes))
        message = f"priority {priority}: more than 0 takes the scope admin; key {identity.name!r} has {has}"
        raise Forbidden(message, code="scope_missing")


def token_of(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    return cookie_parser(headers.get("cookie", "")).get(cookie_name())


def cookie_name() -> str:
    """Cookies know no ports, and two gateways may run on one machine."""
    return f"terrarium_{settings().port}"


ACCESS = Access()
