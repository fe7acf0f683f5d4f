"""Log lines of services: text for people, or with TERRARIUM_LOG=json one object a line for what collects logs.

    logs.begin()                          # where a process begins
    with logs.about(job=id, run=fence):   # what is logged meanwhile, by this thread or task, is about that
        log.info("...")

An object has time (UTC), level, logger, message, where there was one the exception, and what it is about: request, job,
run, session. A runner's own output is its job's log and stays as libraries print it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from terrarium.store.settings import settings

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039, never changed in place


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ABOUT.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def as_json() -> bool:
    return settings().log == "json"


def begin(text: str = TEXT) -> None:
    """All that this process logs from INFO on goes to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json() else logging.Formatter(text))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Adds to what the lines of a block are about."""
    token = _ABOUT.set({**_ABOUT.get(), **{name: str(value) for name, value in facts.items()}})
    try:
        yield
    finally:
        _ABOUT.reset(token)
