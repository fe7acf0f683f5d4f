"""Webhooks over HTTP, for those whose key has the scope `admin`: who is told of what, and what was delivered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.api import paging
from terrarium.api.body import body_of, described
from terrarium.store import callout, webhooks
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict, NotFound
from terrarium.store.tables import Webhook, WebhookDelivery

router = APIRouter(prefix="/v1", tags=["webhooks"])
Event = Literal["job.ended", "plan.ended"]
Events = Annotated[list[Event], Field(min_length=1, max_length=len(webhooks.EVENTS))]
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
Url = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]


class WebhookView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    name: str
    url: str
    events: list[Event]
    failing_since: datetime | None = Field(description="its first failure since something was delivered")
    disabled_at: datetime | None = Field(description="nothing is sent since then")
    disabled_because: str | None
    created_at: datetime


class NewWebhookView(WebhookView):
    secret: str = Field(description="signs what is sent: shown now and never again")


class WebhookPage(BaseModel):
    items: list[WebhookView]
    next_cursor: str | None


class DeliveryView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    event: str
    attempts: int
    due_at: datetime | None = Field(description="of the next attempt; null: it was delivered, or given up")
    delivered_at: datetime | None
    error: str | None = Field(description="of the newest attempt")
    created_at: datetime


class DeliveryPage(BaseModel):
    items: list[DeliveryView]
    next_cursor: str | None


class WebhookRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: Url
    events: Events = list(webhooks.EVENTS)  # type: ignore[arg-type]
    name: Name = ""


class WebhookChange(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: Url | None = None
    events: Events | None = None
    name: Name | None = None
    enabled: bool | None = None


REQUEST, CHANGE = TypeAdapter(WebhookRequest), TypeAdapter(WebhookChange)


@router.get("/webhooks")
def list_webhooks(limit: paging.Limit = 50, cursor: paging.Cursor = None) -> WebhookPage:
    """Newest first."""
    with session_scope() as session:
        rows, next_cursor = paging.page(session, Webhook, select(Webhook), limit, cursor)
    return WebhookPage(items=[WebhookView.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.post("/webhooks", status_code=201, openapi_extra=described(REQUEST))
def make_webhook(body: Annotated[WebhookRequest, Depends(body_of(REQUEST))]) -> NewWebhookView:
    """Have an address told of events. The secret that signs them is in this answer and nowhere else."""
    callout.check(body.url)
    with session_scope() as session:
        return NewWebhookView.model_validate(webhooks.make(session, body.name, body.url, body.events))


@router.get("/webhooks/{id}")
def get_webhook(id: UUID) -> WebhookView:
    with session_scope() as session:
        return WebhookView.model_validate(_existing(session, id))


@router.patch("/webhooks/{id}", openapi_extra=described(CHANGE))
def change_webhook(id: UUID, body: Annotated[WebhookChange, Depends(body_of(CHANGE))]) -> WebhookView:
    """What is omitted stays. `enabled`: false stops it, true lets one go on that was disabled."""
    if body.url is not None:
        callout.check(body.url)
    with session_scope() as session:
        webhook = _existing(session, id)
        for name in ("url", "events", "name"):
            if (value := getattr(body, name)) is not None:
                setattr(webhook, name, value)
        if body.enabled:
            webhooks.enable(webhook)
        elif body.enabled is False and webhook.disabled_at is None:
            webhooks.disable(session, webhook, "somebody switched it off")
        return WebhookView.model_validate(webhook)


@router.delete("/webhooks/{id}", status_code=204)
def delete_webhook(id: UUID) -> None:
    """Nothing more is sent to it, not even what is due."""
    with session_scope() as session:
        session.delete(_existing(session, id))


@router.post("/webhooks/{id}/rotate")
def rotate_secret(id: UUID) -> NewWebhookView:
    """A new secret. For a day messages are signed by the old one as well."""
    with session_scope() as session:
        webhook = _existing(session, id)
        webhooks.rotate(session, webhook)
        return NewWebhookView.model_validate(webhook)


@router.post("/webhooks/{id}/ping", status_code=202)
def ping(id: UUID) -> DeliveryView:
    """Send an event `ping`, to try the receiver out."""
    with session_scope() as session:
        webhook = _existing(session, id)
        if webhook.disabled_at is not None:
            raise Conflict(f"webhook {id} is disabled: {webhook.disabled_because}", code="webhook_disabled")
        delivery = webhooks.ping(session, webhook)
        session.refresh(delivery)
        return DeliveryView.model_validate(delivery)


@router.get("/webhooks/{id}/deliveries")
def list_deliveries(id: UUID, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> DeliveryPage:
    """Newest first: what was sent, and what became of it. For 30 days."""
    statement = select(WebhookDelivery).where(WebhookDelivery.webhook_id == id)
    with session_scope() as session:
        _existing(session, id)
        rows, next_cursor = paging.page(session, WebhookDelivery, statement, limit, cursor)
    return DeliveryPage(items=[DeliveryView.model_validate(row) for row in rows], next_cursor=next_cursor)


def _existing(session: Session, id: UUID) -> Webhook:
    webhook = session.get(Webhook, id)
    if webhook is None:
        raise NotFound(f"there is no webhook {id}", code="webhook_not_found")
    return webhook
