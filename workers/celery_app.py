"""Celery over Redis: a message has one of the workers of a queue look for a job, and carries nothing.

    python -m celery -A terrarium.workers.celery_app worker -P threads -c 1 -Q cpu,gpu.train,gpu.generate

Messages are acknowledged early: a task longer than Redis' visibility timeout would else run again and again.
What an early acknowledgement can lose, the dispatcher sends again. Without prefetching, a message waits in Redis
for the first free worker. Threads, because a task only supervises a process of its own.

Which job it is the worker decides when it looks, in the database: priorities, edits and pauses hold until that moment.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from terrarium.store import logs
from terrarium.store.errors import Unavailable
from terrarium.store.settings import settings
from terrarium.workers import redis_transport

LOOK = "jobs.look"


def make_app() -> Celery:
    if not settings().redis_url:
        raise Unavailable("no Redis: set REDIS_URL, or start everything with `terrarium up`")
    redis_transport.install()
    app = Celery("terrarium", broker=settings().broker_url, include=["terrarium.workers.tasks"])
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue="cpu",
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a job outlives a restart of Redis
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_connect_timeout": 5, "health_check_interval": 10},
    )
    return app


def _log(**_: Any) -> None:
    logs.begin()


app = make_app()
if logs.as_json():  # else Celery logs in its own way
    _log()  # it warns before it sets up logging
    setup_logging.connect(_log)


def queues() -> tuple[str, ...]:
    """Those that this worker serves, once it has started."""
    return tuple(app.amqp.queues.consume_from)
