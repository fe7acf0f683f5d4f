"""POST /v1/uploads: a zip becomes an asset. Streamed to the disk, unpacked, and checked as its type demands."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect

from terrarium.api import paging
from terrarium.api.assets import NO_NUL, AssetView, Name
from terrarium.api.brought import register
from terrarium.api.guard import UPLOADS
from terrarium.store import assets, disk
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict, InvalidInput, TerrariumError, TooLarge, Unavailable
from terrarium.store.places import place
from terrarium.store.settings import settings
from terrarium.worlds.intake import new_draft, take_in
from terrarium.worlds.kinds import asset_types

router = APIRouter(tags=["assets"])
Type = Annotated[str, paging.OneOf(tuple(asset_types()))]
FileName = Annotated[str, Query(max_length=200, pattern=NO_NUL, description="what the file is called, for the record")]
ZIP = ("application/zip", "application/x-zip-compressed", "application/octet-stream")
JSON = "application/json"  # a map.json by itself
MAX_MAP = 2**25  # bytes of a map.json, some 700,000 blocks: it is read into memory
MadeFrom = Annotated[
    str | None, Query(max_length=64, pattern=r"^[0-9a-z-]+$", description="the asset that this is a version of")
]
BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": dict.fromkeys((*ZIP, JSON), BINARY)}}


@router.post(
    UPLOADS, status_code=201, responses={200: {"model": AssetView, "description": "It is there"}}, openapi_extra=BODY
)
async def upload(
    request: Request,
    response: Response,
    type: Type | None = None,
    name: Name | None = None,
    file: FileName = "",
    made_from: MadeFrom = None,
) -> AssetView:
    """An asset of a zip of its files, as /v1/assets/{id}/download gives it, or of a map.json by itself. What is there
    already stays as it is (200).

    Without `type`, the manifest in it says what it is. With `made_from` it is a version of that asset, of its type.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (*ZIP, JSON):
        raise HTTPException(415, f"content type {media_type!r}, expected application/zip, or {JSON} for a map")
    if not settings().data_dir.is_dir():
        raise Unavailable(f"this gateway has no data directory {settings().data_dir}", code="no_data_dir")
    if made_from is not None:
        type = await run_in_threadpool(_type_of_version, made_from, type)
    host = request.client.host if request.client else "?"
    origin: dict[str, Any] = {"name": name or Path(file).stem[:100].strip(), "file": file}
    origin |= {"from": f"an upload from {host}", "made_from": [made_from] if made_from else []}
    most = MAX_MAP if media_type == JSON else settings().max_upload_bytes
    try:
        async with contextmanager_in_threadpool(new_draft(settings().incoming_dir)) as draft:
            archive = draft / ("upload.json" if media_type == JSON else "upload.zip")
            await _receive(request, archive, most)
            asset, new = await run_in_threadpool(_take, archive, origin, type)
    except OSError as e:
        if not disk.says_full(e):
            raise
        raise Conflict(f"the disk is full; {disk.describe(settings().data_dir)}", code="disk_full") from None
    response.status_code = 201 if new else 200
    return asset


def _type_of_version(made_from: str, type: str | None) -> str:
    """That of the asset it is made from; InvalidInput where `type` is another."""
    with session_scope() as session:
        found = assets.get(session, made_from).type
    if type is not None and type != found:
        raise InvalidInput(f"made_from: asset {made_from} is a {found}, expected a {type}")
    return found


async def _receive(request: Request, archive: Path, most: int) -> None:
    """Writes the body into a file, as it comes: at most so many bytes."""
    length = request.headers.get("content-length", "0")
    announced = int(length) if length.isdecimal() else 0
    await run_in_threadpool(disk.check_room, settings().data_dir, announced, "the upload")
    received = 0
    try:
        async with await anyio.open_file(archive, "xb") as file:
            async for chunk in request.stream():
                received += await file.write(chunk)
                if received > most:
                    raise TooLarge(f"the body has more than {most} bytes, the most of a {archive.suffix[1:]}")
                if disk.free_bytes(settings().data_dir) < settings().reserve_bytes:
                    await run_in_threadpool(disk.check_room, settings().data_dir, received, "the upload so far")
    except ClientDisconnect:
        message = f"the upload ended after {received} bytes, expected {length}: nothing is kept"
        raise TerrariumError(message, code="upload_cut_off", status=400) from None


def _take(archive: Path, origin: dict[str, Any], type: str | None) -> tuple[AssetView, bool]:
    folder = archive.with_name("asset")
    folder.mkdir()
    with archive.open("rb") as stream:
        origin["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        taken = take_in(archive, folder, place, origin, type=type, room=_check_room)
    except ValueError as e:
        raise InvalidInput(str(e), code="bad_upload") from None
    with session_scope() as session:
        new = register(session, taken.folder)
        return AssetView.model_validate(assets.get(session, taken.id)), new


def _check_room(size: int) -> None:
    if size > settings().max_upload_bytes:
        most = settings().max_upload_bytes
        raise TooLarge(f"the archive unpacks to {size} bytes, expected at most {most} (TERRARIUM_MAX_UPLOAD_GB)")
    disk.check_room(settings().data_dir, size, "the unpacked upload")
