"""Live play's gateway: a session and its ticket over REST, then bytes relayed between browser and player.

    POST /v1/play/sessions {"checkpoint": "shipped", "seed": 7, "world"?}  ->  {"id", "ticket", "url"}
    WS   /v1/play/<id>     subprotocols: terrarium.play, <ticket>     store/play_protocol.py

Once the ticket is used, nothing here touches the database until the session has ended.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request, WebSocket
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import func, text, update
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from terrarium.api.access import identity_of
from terrarium.api.body import body_of, described
from terrarium.api.guard import allowed_origin
from terrarium.api.relay import relay
from terrarium.store import assets
from terrarium.store.db import session_scope
from terrarium.store.errors import InvalidInput, NotFound, TooMany
from terrarium.store.live_sessions import OpenSessions
from terrarium.store.places import SHIPPED
from terrarium.store.play_protocol import CLOSE_LATER, CLOSE_TICKET, MAX_SEED, SUBPROTOCOL, Open
from terrarium.store.settings import settings
from terrarium.store.tables import Asset, PlaySession

router = APIRouter(prefix="/v1", tags=["play"])
TICKET_S = 30
HELD = OpenSessions()
OPEN: Counter[str] = Counter()  # sessions that this gateway relays, those in line too, by the API key's id


class PlayRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    checkpoint: Annotated[str, Field(max_length=64, pattern="^[0-9a-z-]+$")] = SHIPPED
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = Field(None, description="none: a random world")
    world: Annotated[str, Field(max_length=64, pattern="^[0-9a-z-]+$")] | None = Field(
        None, description="a block world to play in; the seed says where. none: worlds as the model was trained on"
    )


class PlayTicket(BaseModel):
    id: UUID
    ticket: str = Field(
        description=f"opens the session's socket once, within {TICKET_S} s: its subprotocol after {SUBPROTOCOL}"
    )
    url: str = Field(description="path of the WebSocket")


BODY = TypeAdapter(PlayRequest)


@router.post("/play/sessions", status_code=201, openapi_extra=described(BODY))
def create_session(body: Annotated[PlayRequest, Depends(body_of(BODY))], request: Request) -> PlayTicket:
    """Reserve a live session and get the one-use ticket of its WebSocket."""
    identity = identity_of(request)
    if identity is not None and plays_enough(str(identity.id)):
        message = f"key {identity.name!r} has {settings().key_sessions} sessions open (TERRARIUM_KEY_SESSIONS)"
        raise TooMany(message, code="key_sessions_open")
    id, ticket = uuid4(), secrets.token_urlsafe(32)
    seed = random.randrange(MAX_SEED) if body.seed is None else body.seed
    with session_scope() as session:
        checkpoint = session.get(Asset, body.checkpoint)
        if checkpoint is None or checkpoint.deleted_at is not None:
            raise NotFound(f"checkpoint {body.checkpoint!r} does not exist", code="checkpoint_not_found")
        if checkpoint.type != "world-model":
            raise InvalidInput(f"checkpoint {checkpoint.id} is a {checkpoint.type}, expected a world-model")
        if body.world is not None:
            check_world(session, body.world, checkpoint)
        reserved = {"checkpoint": checkpoint.id, "seed": seed, "world": body.world}
        key_id = None if identity is None else identity.id
        session.add(PlaySession(id=id, key_id=key_id, **reserved, ticket_sha256=_sha256(ticket), ended_at=None))
    return PlayTicket(id=id, ticket=ticket, url=f"/v1/play/{id}")


def check_world(session: Session, id: str, checkpoint: Asset) -> None:
    """NotFound, or InvalidInput for what cannot be played in with this model."""
    world = assets.get(session, id)
    if world.type != "block-world":
        raise InvalidInput(f"world {id} is a {world.type}, expected a block-world")
    kind = checkpoint.manifest.get("data", {}).get("source", {}).get("kind")
    if kind != "blocks":
        raise InvalidInput(f"checkpoint {checkpoint.id} was trained on {kind!r}, not on block worlds as {id} is one")


@router.websocket("/play/{id}")
async def play(ws: WebSocket, id: UUID) -> None:
    if not allowed_origin(ws.headers.get("origin"), ws.headers.get("host", "")):
        await ws.close(1008, "origin not allowed")  # before accept: the handshake gets 403
        return
    offered = ws.scope["subprotocols"]
    ticket = next((name for name in offered if name != SUBPROTOCOL), "")
    opening = await run_in_threadpool(use_ticket, id, ticket)
    await ws.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    if opening is None:
        await ws.close(CLOSE_TICKET, f"ticket is unknown, used, or older than {TICKET_S} s")
        return
    try:
        if opening.key and plays_enough(opening.key):  # several tickets were taken before one was used
            await ws.close(CLOSE_LATER, "too many sessions of one key")
            return
        with counted(opening.key), HELD.holding(id):
            await relay(ws, opening)
    finally:
        await run_in_threadpool(end_session, id)


def plays_enough(key: str) -> bool:
    return OPEN[key] >= settings().key_sessions


@contextmanager
def counted(key: str) -> Iterator[None]:
    """A session is open meanwhile."""
    if not key:
        yield
        return
    OPEN[key] += 1
    try:
        yield
    finally:
        OPEN[key] -= 1


def use_ticket(id: UUID, ticket: str) -> Open | None:
    """What the player is to open, once: one conditional UPDATE by the database's clock."""
    fresh = PlaySession.created_at > func.clock_timestamp() - text(f"interval '{TICKET_S} seconds'")
    claim = (
        update(PlaySession)
        .where(PlaySession.id == id, PlaySession.ticket_sha256 == _sha256(ticket), fresh)
        .values(ticket_sha256=None)
        .returning(PlaySession.checkpoint, PlaySession.seed, PlaySession.world, PlaySession.key_id)
    )
    with session_scope() as session:
        row = session.execute(claim).one_or_none()
    if row is None:
        return None
    key = "" if row.key_id is None else str(row.key_id)
    return Open(session=str(id), checkpoint=row.checkpoint, seed=row.seed, world=row.world, key=key)


def end_session(id: UUID) -> None:
    with session_scope() as session:
        session.execute(update(PlaySession).where(PlaySession.id == id).values(ended_at=func.clock_timestamp()))


def _sha256(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
