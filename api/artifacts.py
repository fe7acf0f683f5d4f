"""Artifacts: bytes by opaque id, whole or in part, cached for ever."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Header
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from terrarium.api import ranges
from terrarium.store import artifacts
from terrarium.store.db import session_scope
from terrarium.store.errors import NotFound
from terrarium.store.tables import Artifact

router = APIRouter(prefix="/v1", tags=["artifacts"])
read_artifact = artifacts.get_range


class ArtifactView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    name: str
    media_type: str
    caption: str
    role: Literal["preview", "result", "log"]
    size: int
    sha256: str
    created_at: datetime


@router.get(
    "/artifacts/{id}",
    response_class=Response,
    responses=ranges.RESPONSES,
)
def get_artifact(
    id: UUID,
    range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The bytes never change under an id, so the ETag is their sha256."""
    with session_scope() as session:
        artifact = session.get(Artifact, id)
    if artifact is None:
        raise NotFound(f"there is no artifact {id}", code="artifact_not_found")
    return ranges.serve(
        partial(artifacts.stream, artifact),
        artifact.size,
        sha256=artifact.sha256,
        media_type=artifact.media_type,
        headers={
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(artifact.name, safe='')}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
        range=range,
        if_none_match=if_none_match,
    )
