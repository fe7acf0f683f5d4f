"""Webhooks: who is told of what, and the outbox of deliveries. The caller's transaction throughout.

Messages are those of Standard Webhooks (https://www.standardwebhooks.com): a JSON body {type, timestamp, data}, and the
headers webhook-id, webhook-timestamp and webhook-signature. An event's rows are written in the transaction that makes
it; workers/courier.py sends them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from terrarium.store.errors import InvalidInput
from terrarium.store.tables import Job, Plan, Webhook, WebhookDelivery

EVENTS = ("job.ended", "plan.ended")
PING = "ping"  # sent on demand, whatever a webhook listens to
SECRET = "whsec_"
OLD_SECRET_FOR = timedelta(hours=24)  # signatures by both secrets after a rotation
RETRY_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 21600)  # waits after each failure; after the last none
_ENDED = ("succeeded", "failed", "cancelled")


def make(session: Session, name: str, url: str, events: Collection[str]) -> Webhook:
    """InvalidInput names an event that there is not. Whether the address may be called is the caller's to check."""
    webhook = Webhook(id=uuid4(), name=name, url=url, events=checked(events), secret=new_secret())
    session.add(webhook)
    session.flush()
    session.refresh(webhook)
    return webhook


def checked(events: Collection[str]) -> list[str]:
    unknown = sorted(set(events) - set(EVENTS))
    if unknown or not events:
        raise InvalidInput(f"events {', '.join(unknown) or 'none'}: expected some of {', '.join(EVENTS)}")
    return sorted(set(events))


def rotate(session: Session, webhook: Webhook) -> None:
    """A new secret; messages are signed by both for a day, so that a receiver can change at any time."""
    webhook.old_secret, webhook.secret = webhook.secret, new_secret()
    webhook.old_secret_until = session.scalar(select(func.clock_timestamp() + OLD_SECRET_FOR))


def enable(webhook: Webhook) -> None:
    """Again, after it was disabled for its failures or by a person."""
    webhook.disabled_at = webhook.disabled_because = webhook.failing_since = None


def disable(session: Session, webhook: Webhook, because: str) -> None:
    """What is not delivered yet never will be."""
    webhook.disabled_at, webhook.disabled_because = session.scalar(select(func.clock_timestamp())), because
    open = (WebhookDelivery.webhook_id == webhook.id, WebhookDelivery.due_at.is_not(None))
    session.execute(update(WebhookDelivery).where(*open).values(due_at=None, error=f"not sent: {because}"))


# ---- events


def jobs_ended(session: Session, jobs: Sequence[Job]) -> None:
    """Tells of jobs at their end, or in quarantine."""
    webhooks = _listening(session, "job.ended") if jobs else ()
    for job in jobs if webhooks else ():
        data = {"id": str(job.id), **{name: getattr(job, name) for name in ("kind", "name", "state", "step")}}
        data["plan_id"] = job.plan_id and str(job.plan_id)
        data["error"] = job.error and {name: job.error[name] for name in ("code", "message")}
        _write(session, webhooks, "job.ended", data)


def tell_ended_plans(session: Session) -> None:
    """Tells of plans all of whose jobs have ended. The jobs' own transactions cannot: of two that end at once, each
    sees the other at work."""
    at_work = select(Job.id).where(Job.plan_id == Plan.id, Job.state.not_in(_ENDED)).exists()
    ended = update(Plan).where(Plan.told_at.is_(None), ~at_work).values(told_at=func.clock_timestamp())
    plans = session.scalars(ended.returning(Plan).execution_options(synchronize_session=False)).all()
    webhooks = _listening(session, "plan.ended") if plans else []
    for plan in plans if webhooks else ():
        newest = {
            job.step: {"name": job.step, "job": str(job.id), "state": job.state}
            for job in session.scalars(select(Job).where(Job.plan_id == plan.id).order_by(Job.created_at))
        }
        steps = [newest[step] for step in plan.steps if step in newest]
        states = {step["state"] for step in steps}
        state = next((state for state in ("failed", "cancelled") if state in states), "succeeded")
        data = {"id": str(plan.id), "name": plan.name, "state": state, "steps": steps}
        _write(session, webhooks, "plan.ended", data)


def ping(session: Session, webhook: Webhook) -> WebhookDelivery:
    """An event that tells nothing, to try a receiver out."""
    return _write(session, [webhook.id], PING, {"webhook": str(webhook.id)})[0]


def _listening(session: Session, event: str) -> Sequence[UUID]:
    listens = (Webhook.disabled_at.is_(None), Webhook.events.contains([event]))
    return session.scalars(select(Webhook.id).where(*listens)).all()


def _write(session: Session, webhooks: Sequence[UUID], event: str, data: dict[str, Any]) -> list[WebhookDelivery]:
    body = json.dumps({"type": event, "timestamp": datetime.now(UTC).isoformat(), "data": data})
    rows = [WebhookDelivery(id=uuid4(), webhook_id=id, event=event, body=body) for id in webhooks]
    session.add_all(rows)
    session.flush()
    return rows


# ---- deliveries


def take_due(session: Session, most: int, hold_s: float) -> list[tuple[WebhookDelivery, Webhook]]:
    """Those whose time has come, counted as one attempt more. They come again after `hold_s` unless the outcome is
    written: the sender may die."""
    now = func.clock_timestamp()
    due = select(WebhookDelivery).where(WebhookDelivery.due_at <= now).order_by(WebhookDelivery.due_at).limit(most)
    rows = session.scalars(due.with_for_update(skip_locked=True)).all()
    until = session.scalar(select(now + timedelta(seconds=hold_s))) if rows else None
    for row in rows:
        row.attempts, row.due_at = row.attempts + 1, until
    return [(row, session.get_one(Webhook, row.webhook_id)) for row in rows]


def delivered(session: Session, delivery: WebhookDelivery) -> None:
    """Its newest attempt was answered with a 2xx."""
    webhook, row = _locked(session, delivery)
    if webhook is None or row is None:
        return
    row.due_at, row.error, row.delivered_at = None, None, session.scalar(select(func.clock_timestamp()))
    webhook.failing_since = None


def failed(session: Session, delivery: WebhookDelivery, error: str, gone: bool, most_days: float) -> None:
    """Tries again later, a limited number of times. A webhook that has failed for `most_days` is disabled, and at once
    one that is `gone` (410)."""
    webhook, row = _locked(session, delivery)
    if webhook is None or row is None or row.due_at is None:
        return
    now = session.scalar(select(func.clock_timestamp()))
    assert now is not None
    row.error = error
    row.due_at = now + timedelta(seconds=RETRY_S[row.attempts - 1]) if row.attempts <= len(RETRY_S) else None
    webhook.failing_since = webhook.failing_since or now
    if gone:
        disable(session, webhook, "its receiver answered 410 Gone")
    elif now - webhook.failing_since > timedelta(days=most_days):
        disable(session, webhook, f"nothing was delivered since {webhook.failing_since:%Y-%m-%d %H:%M}: {error}")


def _locked(session: Session, delivery: WebhookDelivery) -> tuple[Webhook | None, WebhookDelivery | None]:
    """None where they were deleted meanwhile. The webhook comes first: several outcomes are written at once, and one
    that disables it changes the others' rows."""
    webhook = session.get(Webhook, delivery.webhook_id, with_for_update={"key_share": True})
    return webhook, session.get(WebhookDelivery, delivery.id, with_for_update=True)


# ---- signatures


def new_secret() -> str:
    return SECRET + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, id: str, timestamp: int, body: str) -> str:
    """v1: HMAC-SHA256 over "id.timestamp.body" by the secret's bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET), validate=True)
    except binascii.Error:
        raise InvalidInput(f"this is no secret: expected {SECRET} and base64") from None
    digest = hmac.new(key, f"{id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers(webhook: Webhook, id: UUID, timestamp: int, body: str) -> dict[str, str]:
    """Of a message sent at `timestamp` (seconds since 1970)."""
    message = f"msg_{id.hex}"  # the same in every attempt, so that a receiver can tell
    signatures = [sign(webhook.secret, message, timestamp, body)]
    if webhook.old_secret and webhook.old_secret_until and webhook.old_secret_until.timestamp() > timestamp:
        signatures.append(sign(webhook.old_secret, message, timestamp, body))
    signed = {"webhook-id": message, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signatures)}
    return signed | {"content-type": "application/json", "user-agent": "terrarium-webhooks"}
