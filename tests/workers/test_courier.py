"""Webhooks end to end: an event's row with its transaction, a signed POST to a real receiver, retries, disabling."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from terrarium.store import jobs, plans, webhooks
from terrarium.store.plans import NewStep
from terrarium.store.settings import settings
from terrarium.store.tables import Webhook, WebhookDelivery
from terrarium.workers import courier

CONFIG = {"kind": "dataset.record", "episodes": 2}


class Receiver:
    """Answers with the next of `statuses`, the last one for ever; remembers what came."""

    def __init__(self) -> None:
        self.statuses, self.got = [200], list[tuple[dict[str, str], str]]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                self.send_response(status)
                self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?who=me"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(db: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(settings(), "webhook_private", True)
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def hook(db: Session, url: str, *events: str) -> Webhook:
    webhook = webhooks.make(db, "", url, events or webhooks.EVENTS)
    db.commit()
    return webhook


def end(db: Session, id: UUID, how: str = "finish") -> None:
    job = jobs.claim(db, id, "w", 60)
    assert job is not None
    if how == "finish":
        jobs.finish(db, id, job.fence, {"frames": 3})
    else:
        jobs.fail(db, id, job.fence, {"code": "nan_loss", "message": "loss is nan", "evidence": {"log_tail": ["x"]}})
    db.commit()


def hurry(db: Session) -> None:
    """Makes everything due that is not over, and delivers it."""
    db.execute(update(WebhookDelivery).where(WebhookDelivery.due_at.is_not(None)).values(due_at=func.now()))
    db.commit()
    courier.deliver_due()
    db.expire_all()
    db.commit()


def test_signatures_are_those_of_the_specification() -> None:
    """The example of standardwebhooks.com's libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = '{"test": 2432232314}'
    signature = webhooks.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_end_of_a_job_arrives_signed(db: Session, receiver: Receiver) -> None:
    webhook, deaf = hook(db, receiver.url, "job.ended"), hook(db, receiver.url, "plan.ended")
    job = jobs.submit(db, CONFIG, "cpu", name="walks")
    db.commit()
    assert not courier.deliver_due() and not receiver.got
    end(db, job.id, "fail")
    assert courier.deliver_due() and not courier.deliver_due(), "once"
    ((headers, body),) = receiver.got
    assert headers["webhook-signature"] == webhooks.sign(
        webhook.secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body
    )
    message = json.loads(body)
    assert message["type"] == "job.ended" and message["timestamp"]
    assert message["data"] == {
        "id": str(job.id),
        "kind": "dataset.record",
        "name": "walks",
        "state": "failed",
        "step": None,
        "plan_id": None,
        "error": {"code": "nan_loss", "message": "loss is nan"},
    }
    (row,) = db.scalars(select(WebhookDelivery)).all()
    assert row.delivered_at and row.due_at is None and row.attempts == 1 and row.webhook_id == webhook.id != deaf.id


def test_what_is_rolled_back_tells_nobody(db: Session, receiver: Receiver) -> None:
    hook(db, receiver.url)
    job = jobs.submit(db, CONFIG, "cpu")
    db.commit()
    jobs.cancel(db, job.id)
    db.rollback()
    assert not courier.deliver_due() and not receiver.got


def test_a_plan_ends_once_and_again_after_a_retry(db: Session, receiver: Receiver) -> None:
    hook(db, receiver.url, "plan.ended")
    ids = plans.new_ids(["a", "b"])
    steps = [NewStep("a", CONFIG, "cpu", "a"), NewStep("b", CONFIG | {"given": str(ids["a"])}, "cpu", "b")]
    plan = plans.submit(db, "both", steps, ids)
    db.commit()
    end(db, ids["a"])
    assert not courier.deliver_due()
    end(db, ids["b"], "fail")
    hurry(db)
    hurry(db)
    assert [json.loads(body)["data"]["state"] for _, body in receiver.got] == ["failed"]
    again = plans.retry(db, plans.newest(db, [plan])[plan.id][1])
    db.commit()
    end(db, again.id)
    hurry(db)
    data = json.loads(receiver.got[-1][1])["data"]
    assert (len(receiver.got), data["state"], data["id"]) == (2, "succeeded", str(plan.id))
    assert [step["job"] for step in data["steps"]] == [str(ids["a"]), str(again.id)]


def test_what_fails_is_tried_again_with_the_same_id_and_given_up_in_the_end(db: Session, receiver: Receiver) -> None:
    webhook = hook(db, receiver.url)
    receiver.statuses = [500, 302, 200]
    webhooks.ping(db, webhook)
    db.commit()
    waits = []
    for _ in range(3):
        hurry(db)
        (row,) = db.scalars(select(WebhookDelivery)).all()
        waits.append((row.attempts, row.delivered_at is not None, row.error))
    assert waits[0][:2] == (1, False) and "500" in waits[0][2]
    assert waits[1][:2] == (2, False) and "redirects are not followed" in waits[1][2]
    assert waits[2] == (3, True, None)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1 and len(receiver.got) == 3
    assert db.get_one(Webhook, webhook.id).failing_since is None
    receiver.statuses = [500]
    webhooks.ping(db, webhook)
    db.commit()
    for _ in range(len(webhooks.RETRY_S) + 3):
        hurry(db)
    assert len(receiver.got) == 3 + len(webhooks.RETRY_S) + 1, "no more than that"
    assert db.scalar(select(func.count()).where(WebhookDelivery.due_at.is_not(None))) == 0


def test_each_wait_is_longer_than_the_one_before(db: Session, receiver: Receiver) -> None:
    webhook = hook(db, receiver.url)
    receiver.statuses = [503]
    row = webhooks.ping(db, webhook)
    db.commit()
    for wait_s in webhooks.RETRY_S[:3]:
        hurry(db)
        left = db.scalar(select(WebhookDelivery.due_at - func.clock_timestamp()).where(WebhookDelivery.id == row.id))
        assert timedelta(seconds=wait_s - 4) < left <= timedelta(seconds=wait_s)


def test_who_fails_for_long_is_disabled_and_who_is_gone_at_once(db: Session, receiver: Receiver) -> None:
    webhook = hook(db, receiver.url)
    receiver.statuses = [500]
    for _ in range(2):
        webhooks.ping(db, webhook)
    db.commit()
    hurry(db)
    webhook = db.get_one(Webhook, webhook.id)
    assert webhook.failing_since and webhook.disabled_at is None
    webhook.failing_since -= timedelta(days=settings().webhook_days)
    db.commit()
    hurry(db)
    webhook = db.get_one(Webhook, webhook.id)
    assert webhook.disabled_at and "500" in (webhook.disabled_because or "")
    assert db.scalar(select(func.count()).where(WebhookDelivery.due_at.is_not(None))) == 0
    jobs.cancel(db, jobs.submit(db, CONFIG, "cpu").id)
    assert db.scalar(select(func.count()).where(WebhookDelivery.event == "job.ended")) == 0, "it is told nothing more"
    receiver.statuses = [410]
    other = hook(db, receiver.url)
    webhooks.ping(db, other)
    hurry(db)
    assert "410" in (db.get_one(Webhook, other.id).disabled_because or "")


def test_both_secrets_sign_for_a_day(db: Session, receiver: Receiver) -> None:
    webhook = hook(db, receiver.url)
    old = webhook.secret
    webhooks.rotate(db, webhook)
    webhooks.ping(db, webhook)
    hurry(db)
    headers, body = receiver.got[0]
    signed = [
        webhooks.sign(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        for secret in (webhook.secret, old)
    ]
    assert headers["webhook-signature"].split() == signed and webhook.secret != old
    webhook.old_secret_until = db.scalar(select(func.now() - timedelta(seconds=1)))
    webhooks.ping(db, webhook)
    hurry(db)
    assert len(receiver.got[-1][0]["webhook-signature"].split()) == 1


def test_an_address_that_became_private_is_not_called(
    db: Session, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = hook(db, receiver.url.replace("http", "https"))
    webhooks.ping(db, webhook)
    monkeypatch.setattr(settings(), "webhook_private", False)
    hurry(db)
    (row,) = db.scalars(select(WebhookDelivery)).all()
    assert "no public address" in (row.error or "") and not receiver.got
