"""The frames of a dataset's episodes as they lie on the disk: a page draws them, nothing here decodes a picture."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi import Path as InPath
from fastapi.responses import Response

from terrarium.api import ranges
from terrarium.api.assets import Id, folder_of
from terrarium.store import assets
from terrarium.store.db import session_scope
from terrarium.store.errors import NotFound
from terrarium.worlds.headers import check_npy

router = APIRouter(prefix="/v1", tags=["assets"])
EpisodeId = Annotated[str, InPath(max_length=200, pattern=r"^\w[\w.-]*$")]
CHUNK = 2**18


@router.get("/assets/{id}/episodes/{episode}/frames", response_class=Response, responses=ranges.RESPONSES)
def get_frames(
    id: Id,
    episode: EpisodeId,
    range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """RGB bytes, T x H x W x 3: `length` of the episode and `frame_size` of the dataset are in its manifest. A Range of
    N x H x W x 3 bytes is N frames."""
    with session_scope() as session:
        asset = assets.get(session, id)
    entries = asset.manifest.get("episodes", []) if asset.type == "dataset" else []
    entry = next((entry for entry in entries if entry["id"] == episode), None)
    if entry is None:
        raise NotFound(f"asset {id} has no episode {episode!r}", code="episode_not_found")
    shape = (entry["length"], *asset.manifest["frame_size"], 3)
    file = folder_of(asset) / "episodes" / episode / "frames.npy"
    try:
        with file.open("rb") as stream:
            begin = check_npy(stream, shape, "|u1", file.stat().st_size, f"episode {episode}: frames.npy")
    except (FileNotFoundError, ValueError) as e:
        raise NotFound(
            f"the frames of episode {episode} of asset {id} are gone ({e})", code="asset_files_gone"
        ) from None
    return ranges.serve(
        partial(read, file, begin),
        prod(shape),
        sha256=entry["sha256"]["frames.npy"],
        media_type="application/octet-stream",
        headers={},
        range=range,
        if_none_match=if_none_match,
    )


def read(file: Path, begin: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes [start, end) after the first `begin` ones."""
    with file.open("rb") as stream:
        stream.seek(begin + start)
        left = end - start
        while left and (chunk := stream.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
