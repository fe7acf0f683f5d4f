"""Kombu's Redis transport, less its trust: what lies in a queue and is no message of Celery's is logged and dropped.

Kombu's own raises, which ends the worker: one wrong LPUSH would end every worker that came for it, one after the other.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

log = logging.getLogger("terrarium.worker")
NO_MESSAGE = (ValueError, TypeError, KeyError, AttributeError)  # not JSON; JSON of another shape


class Channel(redis.Channel):
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except NO_MESSAGE:
            log.warning("something in Redis is no message of ours: dropped", exc_info=True)
            return True


class Transport(redis.Transport):
    Channel = Channel


def install() -> None:
    """For every URL whose scheme is redis, redis+socket among them: kombu takes a transport by that name alone."""
    TRANSPORT_ALIASES["redis"] = f"{__name__}:Transport"
