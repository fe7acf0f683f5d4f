"""Recorded play: what there is, and what of it may go."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from terrarium.store import plays
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict, NotFound
from terrarium.store.settings import settings

router = APIRouter(prefix="/v1", tags=["plays"])
PlayId = Annotated[str, Path(pattern=plays.ID.pattern)]
Text = Annotated[str | None, Query(max_length=200)]


class PlayView(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    seed: int | None
    checkpoint: str | None = Field(description="id of the world model that was played")
    world: str | None = Field(description="the simulator's terrain or map; null where it cannot be walked again")
    frames: int
    seconds: float
    size: int = Field(description="bytes on disk")
    action_names: list[str]
    recorded_at: datetime
    problem: str | None = Field(description="why a part of it cannot be used")


class PlayList(BaseModel):
    items: list[PlayView]
    total: int = Field(description="how many match, of which `items` are the newest")
    size: int = Field(description="bytes that all recorded play takes")
    max_size: int = Field(description="bytes it may take: beyond them nothing is recorded")


@router.get("/plays")
def list_plays(
    checkpoint: Text = None, world: Text = None, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> PlayList:
    """Newest first; of one world model, or of one world."""
    found = plays.list_plays(settings().plays_dir)
    shown = [p for p in found if checkpoint in (None, p.checkpoint) and world in (None, p.world)]
    return PlayList(
        items=[PlayView.model_validate(play) for play in shown[:limit]],
        total=len(shown),
        size=sum(play.size for play in found),
        max_size=int(settings().max_plays_gb * 1e9),
    )


@router.get(
    "/plays/{id}/picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 404: {"description": "no such play, or no picture of it"}},
)
def get_picture(id: PlayId) -> Response:
    """A frame from the middle of the recording's first minute."""
    folder = plays.play_folder(settings().plays_dir, id)
    picture = plays.picture_of(folder) if folder else None
    if picture is None:
        raise NotFound(f"there is no picture of play {id}", code="play_not_found")
    headers = {"Cache-Control": "private, max-age=86400"}
    return FileResponse(picture, media_type="image/jpeg", headers=headers)


@router.delete("/plays/{id}", status_code=204)
def delete_play(id: PlayId) -> None:
    """Refused while a job that has not ended is to make a dataset of it."""
    if plays.play_folder(settings().plays_dir, id) is None:
        raise NotFound(f"there is no play {id}", code="play_not_found")
    with session_scope() as session:
        if user := plays.job_that_needs(session, id):
            raise Conflict(f"play {id} is needed by job {user.id} ({user.state}): cancel it first", code="play_in_use")
    plays.delete_play(settings().plays_dir, id)
