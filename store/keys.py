"""API keys: `trm_<prefix>_<secret>`, of which the prefix and a SHA-256 are kept. The caller's transaction throughout.

The secret is 256 random bits, so a fast hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from terrarium.store.errors import InvalidInput, NotFound, Unauthorized
from terrarium.store.tables import ApiKey

SCOPES = ("read", "submit", "play", "admin")  # admin: all of them, and the keys
USUAL = ("read", "submit", "play")
TOKEN = re.compile(r"trm_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
USED_EVERY = timedelta(minutes=1)  # how exactly last_used_at is kept: a write for each request would be too many


def new_token() -> str:
    return f"trm_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def make(
    session: Session, name: str, scopes: Collection[str], days: float | None = None, token: str | None = None
) -> tuple[ApiKey, str]:
    """A key and its text, which is shown once and never again. It expires after `days`, if given.

    InvalidInput names a scope that there is not, and a token that is none.
    """
    wanted = sorted(set(scopes), key=SCOPES.index) if set(scopes) <= set(SCOPES) else []
    if not wanted:
        raise InvalidInput(f"scopes {', '.join(scopes) or 'none'}: expected some of {', '.join(SCOPES)}")
    token = token or new_token()
    key = ApiKey(name=name, prefix=_prefix(token), sha256=_sha256(token), scopes=wanted)
    key.expires_at = None if days is None else session.scalar(select(func.clock_timestamp() + timedelta(days=days)))
    session.add(key)
    session.flush()
    session.refresh(key)
    return key, token


def verify(session: Session, token: str) -> ApiKey:
    """The key of that text, marked as used. Unauthorized where there is none, or it expired or was revoked."""
    found = None
    if TOKEN.fullmatch(token):
        for key in session.scalars(select(ApiKey).where(ApiKey.prefix == _prefix(token))):
            if hmac.compare_digest(key.sha256, _sha256(token)):
                found = key
    if found is None:
        raise Unauthorized("this key is unknown: `terrarium keys list` shows those that there are", code="key_invalid")
    if found.revoked_at is not None:
        raise Unauthorized(f"key {found.prefix} ({found.name}) was revoked", code="key_revoked")
    now = session.scalar(select(func.clock_timestamp()))
    assert now is not None
    if found.expires_at is not None and found.expires_at <= now:
        raise Unauthorized(f"key {found.prefix} ({found.name}) expired at {found.expires_at}", code="key_expired")
    if found.last_used_at is None or now - found.last_used_at > USED_EVERY:
        found.last_used_at = now
    return found


def any_usable(session: Session) -> bool:
    """Whether anybody could get in."""
    usable = (ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > _now()))
    return session.scalar(select(select(ApiKey.id).where(*usable).exists())) is True


def revoke(session: Session, id: UUID) -> None:
    """For good; once more changes nothing. NotFound where there is none."""
    if session.get(ApiKey, id) is None:
        raise NotFound(f"there is no key {id}", code="key_not_found")
    session.execute(update(ApiKey).where(ApiKey.id == id, ApiKey.revoked_at.is_(None)).values(revoked_at=_now()))


def _prefix(token: str) -> str:
    match = TOKEN.fullmatch(token)
    if match is None:
        raise InvalidInput("this is no key: expected trm_, 8 hexadecimal digits, _ and 43 characters")
    return match[1]


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _now() -> ColumnElement[object]:
    return func.clock_timestamp()
