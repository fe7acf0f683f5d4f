"""API keys over HTTP, for those whose key has the scope `admin`; and the exchange of a key for a browser's cookie."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import select

from terrarium.api import paging
from terrarium.api.access import ACCESS, cookie_name
from terrarium.api.body import body_of, described
from terrarium.store import keys
from terrarium.store.db import session_scope
from terrarium.store.tables import ApiKey

router = APIRouter(prefix="/v1", tags=["access"])
COOKIE_DAYS = 30
Scope = Literal["read", "submit", "play", "admin"]


class KeyView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    name: str
    prefix: str = Field(description="how its text begins, after trm_")
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="to the minute")
    revoked_at: datetime | None


class NewKeyView(KeyView):
    key: str = Field(description="the key itself: shown now and never again")


class KeyPage(BaseModel):
    items: list[KeyView]
    next_cursor: str | None


class KeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=4)] = list(keys.USUAL)  # type: ignore[arg-type]
    expires_in_days: Annotated[float, Field(gt=0, le=3650)] | None = None


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")
    key: Annotated[str, Field(max_length=200)]


KEY, LOGIN = TypeAdapter(KeyRequest), TypeAdapter(Login)


@router.get("/api-keys")
def list_keys(limit: paging.Limit = 50, cursor: paging.Cursor = None) -> KeyPage:
    """Newest first, those that expired or were revoked among them."""
    with session_scope() as session:
        rows, next_cursor = paging.page(session, ApiKey, select(ApiKey), limit, cursor)
    return KeyPage(items=[KeyView.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.post("/api-keys", status_code=201, openapi_extra=described(KEY))
def make_key(body: Annotated[KeyRequest, Depends(body_of(KEY))]) -> NewKeyView:
    """Make a key. Its text is in this answer and nowhere else."""
    with session_scope() as session:
        key, token = keys.make(session, body.name, body.scopes, body.expires_in_days)
        return NewKeyView(**KeyView.model_validate(key).model_dump(), key=token)


@router.delete("/api-keys/{id}", status_code=204)
def revoke_key(id: UUID) -> None:
    """For good, and at once on this gateway; on others within seconds."""
    with session_scope() as session:
        keys.revoke(session, id)
    ACCESS.forget()


@router.post("/login", status_code=204, openapi_extra=described(LOGIN))
def login(body: Annotated[Login, Depends(body_of(LOGIN))], request: Request, response: Response) -> None:
    """Exchange a key for a cookie that scripts cannot read and other sites cannot send."""
    with session_scope() as session:
        key = keys.verify(session, body.key)
    left = (key.expires_at - datetime.now(UTC)).total_seconds() if key.expires_at else COOKIE_DAYS * 86400
    response.set_cookie(
        cookie_name(),
        body.key,
        max_age=int(min(left, COOKIE_DAYS * 86400)),
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", "").startswith("https:"),
    )


@router.delete("/login", status_code=204)
def logout(response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(cookie_name(), httponly=True, samesite="strict")
