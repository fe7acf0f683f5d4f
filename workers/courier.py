"""Delivers what webhooks are told, in a thread of the dispatcher: POST, tried again with growing waits.

A delivery may arrive twice (a crash between the answer and its commit); its webhook-id is the same.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time

from terrarium.store import callout, webhooks
from terrarium.store.db import session_scope
from terrarium.store.errors import InvalidInput
from terrarium.store.settings import settings
from terrarium.store.tables import Webhook, WebhookDelivery

log = logging.getLogger("terrarium.courier")
LOOK_EVERY_S = 2.0
AT_ONCE = 8
HOLD_S = 2 * callout.OVER_AFTER_S + 20.0  # longer than any attempt takes
GONE = 410


class Courier:
    """Works between `with`: the dispatcher's, as long as it leads."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def __enter__(self) -> Courier:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()

    def _run(self) -> None:
        while not self.stop.is_set():
            try:
                more = deliver_due()
            except Exception:  # the database restarts, say
                log.exception("webhooks: trying again")
                more = False
            if not more:
                self.stop.wait(LOOK_EVERY_S)


def deliver_due() -> bool:
    """Whether there was something to do. Threads of their own, so that a receiver that hangs keeps no process alive."""
    with session_scope() as session:
        webhooks.tell_ended_plans(session)
        due = webhooks.take_due(session, AT_ONCE, HOLD_S)
    threads = [threading.Thread(target=deliver, args=pair, name="delivery", daemon=True) for pair in due]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return bool(due)


def deliver(delivery: WebhookDelivery, webhook: Webhook) -> None:
    """One attempt, and its outcome."""
    status, error = None, ""
    try:
        headers = webhooks.headers(webhook, delivery.id, int(time.time()), delivery.body)
        status = callout.post(webhook.url, delivery.body.encode(), headers)
    except InvalidInput as e:
        error = e.message
    except (OSError, http.client.HTTPException) as e:
        error = f"{type(e).__name__}: {e}"
    if status is not None and not 200 <= status < 300:
        error = f"answered {status}, expected 2xx" + (": redirects are not followed" if 300 <= status < 400 else "")
    with session_scope() as session:
        if not error:
            webhooks.delivered(session, delivery)
        else:
            log.warning("webhook %s: %s", webhook.id, error)
            webhooks.failed(session, delivery, error[:500], status == GONE, settings().webhook_days)
