"""Block worlds beside what all assets have: their files one by one, their picture, their versions.

A map.json comes in as any asset does (api/uploads.py); `made_from` makes it a version of another.
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from terrarium.api import paging
from terrarium.api.assets import Id, folder_of
from terrarium.store import assets, disk, shared
from terrarium.store.db import session_scope
from terrarium.store.errors import InvalidInput, NotFound
from terrarium.store.settings import settings
from terrarium.store.tables import Asset

router = APIRouter(prefix="/v1", tags=["worlds"])
MEDIA_TYPES = {
    "map.json": "application/json",
    "world.glb": "model/gltf-binary",
    "thumbnail.png": "image/png",
    "turntable.mp4": "video/mp4",
}
File = Annotated[str, paging.OneOf(tuple(MEDIA_TYPES))]
PNG = b"\x89PNG\r\n\x1a\n"
SIDES = range(1, 1025)  # pixels along a thumbnail
BINARY = {"schema": {"type": "string", "format": "binary"}}
PICTURE: dict[str, Any] = {"requestBody": {"required": True, "content": {"image/png": BINARY}}}
FILES: dict[int | str, dict[str, Any]] = {200: {"content": dict.fromkeys(MEDIA_TYPES.values(), BINARY)}}


class Version(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    made_from: list[str]
    created_at: datetime
    deleted_at: datetime | None


class VersionList(BaseModel):
    items: list[Version]


@router.get("/worlds/{id}/versions")
def list_versions(id: Id) -> VersionList:
    """All worlds that were made from one another, this one among them; the oldest first."""
    with session_scope() as session:
        family = assets.family(session, _world(session, id))
        return VersionList(items=[Version.model_validate(row) for row in family])


@router.put("/worlds/{id}/thumbnail.png", status_code=204, openapi_extra=PICTURE)
async def put_thumbnail(id: Id, request: Request) -> None:
    """The small picture of a world in lists: a PNG, which whoever saves the world has drawn."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "image/png":
        raise HTTPException(415, f"content type {media_type!r}, expected image/png")
    await run_in_threadpool(_keep_thumbnail, id, await request.body())


@router.get("/worlds/{id}/{file}", response_class=Response, responses=FILES)
def get_file(id: Id, file: File) -> FileResponse:
    """A file of a world. Only map.json is in every one: the others come with worlds that a job made, a thumbnail also
    with those that were saved in the browser."""
    with session_scope() as session:
        world = _world(session, id)
    path = folder_of(world) / file
    if not path.is_file():
        raise NotFound(f"world {id} has no {file}", code="world_file_not_found")
    return FileResponse(path, media_type=MEDIA_TYPES[file])


def _world(session: Session, id: str) -> Asset:
    asset = assets.get(session, id)
    if asset.type != "block-world":
        raise InvalidInput(f"asset {id} is a {asset.type}, expected a block-world")
    return asset


def _keep_thumbnail(id: str, png: bytes) -> None:
    _check_png(png)
    with session_scope() as session:
        world = _world(session, id)
        folder = folder_of(world)
        disk.check_room(settings().data_dir, len(png), "the thumbnail")
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".thumbnail-", delete=False) as draft:
            draft.write(png)
        os.replace(draft.name, folder / "thumbnail.png")
        shared.publish(folder)
        world.size = disk.size_of(folder)


def _check_png(data: bytes) -> None:
    """By its first chunk, which must say its size."""
    if data[:8] != PNG or data[12:16] != b"IHDR" or len(data) < 33:
        raise InvalidInput(f"the body begins with {data[:8]!r}, expected a PNG")
    width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
    if width not in SIDES or height not in SIDES:
        raise InvalidInput(f"a picture of {width} x {height} pixels, expected sides of {SIDES[0]}..{SIDES[-1]}")
