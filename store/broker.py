"""Redis, as redis-py and as Celery spell its address. It only says "look at job X"."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import redis

from store.settings import settings

TIMEOUT_S = 2.0


def redis_url(url: str) -> str:
    """For redis-py: `unix:///path` for a socket. Raises ValueError where there is no Redis to speak of."""
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss", "unix"):
        return url
    if parts.scheme == "redis+socket":
        return f"unix://{parts.path}?db={_database(parts.query)}"
    expected = "redis://host:6379/0, rediss://... or unix:///path/redis.sock"
    raise ValueError(f"REDIS_URL is {url!r}, expected {expected} (`terrarium up` sets it by itself)")


def celery_url(url: str) -> str:
    """For Celery, which says `redis+socket:///path` where redis-py says `unix:///path`."""
    parts = urlsplit(redis_url(url))
    if parts.scheme == "unix":
        return f"redis+socket://{parts.path}?virtual_host={_database(parts.query)}"
    return url


def _database(query: str) -> str:
    fields = parse_qs(query)
    return (fields.get("db") or fields.get("virtual_host") or ["0"])[0]


def connect() -> redis.Redis:
    """A client of settings().redis_url; the caller closes it."""
    url = redis_url(settings().redis_url)
    return redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
