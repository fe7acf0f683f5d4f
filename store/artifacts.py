"""Bytes worth keeping beside a job: previews, logs, evaluations. Local folder or S3, found by an opaque id.

An artifact's bytes never change, so its sha256 is a strong ETag and any part may be cached for ever. The bytes
are written before the row: an object may lack its row (garbage, unreachable), no row lacks its object.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePath
from uuid import UUID, uuid4

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from terrarium.store import disk
from terrarium.store.errors import NotFound
from terrarium.store.settings import settings
from terrarium.store.tables import Artifact

MAX_BYTES = 32 * 2**20
MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".glb": "model/gltf-binary",
    ".zip": "application/zip",
    ".json": "application/json",
    ".html": "text/html",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".log": "text/plain",
}
CHUNK = 2**18


@lru_cache
def _open(url: str, folder: str) -> ObjectStore:
    if url:
        return from_url(url)
    return LocalStore(folder, mkdir=True)


def object_store() -> ObjectStore:
    return _open(settings().artifacts_url, str(settings().artifacts_dir.resolve()))


def put(job_id: UUID, name: str, media_type: str, data: bytes, caption: str = "", role: str = "result") -> Artifact:
    """Stores the bytes and returns the row for the caller's transaction to add. OSError (ENOSPC) on a full disk."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"artifact {name!r} has {len(data)} bytes, expected at most {MAX_BYTES}")
    artifact = Artifact(
        id=uuid4(),
        job_id=job_id,
        name=name,
        media_type=media_type,
        caption=caption,
        role=role,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    try:
        obstore.put(object_store(), str(artifact.id), data)
    except obstore.exceptions.BaseError as e:
        if disk.says_full(e):
            raise OSError(errno.ENOSPC, f"artifact {name!r}: no space left on device") from e
        raise
    return artifact


def stream(artifact: Artifact, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes [start, end) in chunks. Raises NotFound at the call, not at the first chunk."""
    end = artifact.size if end is None else end
    first = get_range(artifact, start, min(start + CHUNK, end))

    def rest() -> Iterator[bytes]:
        yield first
        for at in range(start + CHUNK, end, CHUNK):
            yield get_range(artifact, at, min(at + CHUNK, end))

    return rest()


def get_range(artifact: Artifact, start: int, end: int) -> bytes:
    """The bytes [start, end)."""
    if start >= end:
        return b""
    try:
        return bytes(obstore.get_range(object_store(), str(artifact.id), start=start, end=end))
    except (FileNotFoundError, obstore.exceptions.NotFoundError):
        raise NotFound(f"the bytes of artifact {artifact.id} are gone") from None


def media_type(name: str) -> str:
    """By the extension: what a browser may show. Anything else is bytes to download."""
    return MEDIA_TYPES.get(PurePath(name).suffix.lower(), "application/octet-stream")
