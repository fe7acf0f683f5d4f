"""Artifacts: bytes by opaque id, whole or in part, cached for ever."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Header
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from terrarium.api.errors import answer
from terrarium.store import artifacts
from terrarium.store.db import session_scope
from terrarium.store.errors import NotFound, TerrariumError
from terrarium.store.tables import Artifact

router = APIRouter(prefix="/v1", tags=["artifacts"])
read_artifact = artifacts.get_range
BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


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
    responses={
        200: {"description": "The bytes, as what they are", **BYTES},
        206: {"description": "A part of them", **BYTES},
        304: {"description": "You have them"},
        416: {"description": "No such part"},
    },
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
    headers = _headers(artifact)
    if if_none_match is not None and (headers["ETag"] in if_none_match or if_none_match.strip() == "*"):
        return Response(status_code=304, headers=headers)
    part = parse_range(range, artifact.size)
    if part is None:
        headers["Content-Length"] = str(artifact.size)
        return StreamingResponse(artifacts.stream(artifact), headers=headers, media_type=artifact.media_type)
    start, end = part
    if start >= end:
        error = TerrariumError(f"range {range!r} of {artifact.size} bytes", code="bad_range", status=416)
        return answer(error, {"Content-Range": f"bytes */{artifact.size}"})
    headers |= {"Content-Range": f"bytes {start}-{end - 1}/{artifact.size}", "Content-Length": str(end - start)}
    return StreamingResponse(artifacts.stream(artifact, start, end), 206, headers, artifact.media_type)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """[start, end) of `bytes=a-b`, `a-` or `-n`; None (the whole) for anything else. start >= end: cannot be met."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header or "")
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None  # RFC 9110: such a range is to be ignored
    return int(first), min(size, int(last) + 1) if last else size


def _headers(artifact: Artifact) -> dict[str, str]:
    return {
        "ETag": f'"{artifact.sha256}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(artifact.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
