"""Redis. A message only names a job; everything else is in Postgres."""

from __future__ import annotations

import redis

from terrarium.store.errors import Unavailable
from terrarium.store.settings import settings

TIMEOUT_S = 2.0


def connect() -> redis.Redis:
    """A client of settings().redis_url; the caller closes it."""
    url = settings().redis_url
    if not url:
        raise Unavailable("no Redis: set REDIS_URL, or start everything with `terrarium up`")
    return redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
