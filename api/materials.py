"""Pictures of materials and view sets, one by one: maps, views, what a material looks like."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from terrarium.api import paging
from terrarium.api.assets import Id, folder_of
from terrarium.store import assets
from terrarium.store.db import session_scope
from terrarium.store.errors import InvalidInput, NotFound

router = APIRouter(prefix="/v1", tags=["materials"])
MAPS = ("basecolor", "roughness", "metallic", "normal", "ao", "height", "orm", "rmaos", "confidence")
TYPES = ("material", "view-set", "diffuse")
SHAPES = ("sphere", "cube", "plane")
VIEWS = ("0", "1", "2")
NAMES = (*MAPS, "diffuse", *SHAPES, *VIEWS, *(f"view_{number}" for number in VIEWS))
File = Annotated[str, paging.OneOf(tuple(f"{name}.png" for name in NAMES))]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/materials/{id}/{file}", response_class=Response, responses=PICTURE)
def get_picture(id: Id, file: File) -> FileResponse:
    """Of a material: maps, the views that it was found from, what it looks like on a shape. basecolor, roughness,
    metallic and normal are in every one. Of a view set: 0.png, 1.png and 2.png; of a diffuse texture: diffuse.png, and
    normal.png where it is known."""
    with session_scope() as session:
        asset = assets.get(session, id)
        if asset.type not in TYPES:
            raise InvalidInput(f"asset {id} is a {asset.type}, expected a {' or '.join(TYPES)}")
        path = folder_of(asset) / file
    if not path.is_file():
        raise NotFound(f"{asset.type} {id} has no {file}", code="material_file_not_found")
    return FileResponse(path, media_type="image/png")
