"""The body of POST /v1/jobs: JSON, strictly, into one of the config dataclasses; then its inputs must exist."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Discriminator, TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from api.errors import FieldError, InvalidFields, echo
from store.plays import list_plays, play_folder
from store.settings import settings
from store.tables import Checkpoint, Dataset
from worlds.episodes.kinds import ImportPlayConfig, RecordGymConfig
from worlds.kinds import kinds


@cache
def body() -> TypeAdapter[Any]:
    """Of any kind that a client may submit; `kind` says which."""
    configs = [kind.config for kind in kinds().values() if kind.http]
    return TypeAdapter(Annotated[reduce(or_, configs), Discriminator("kind")])  # type: ignore[arg-type]


async def job_config(request: Request) -> Any:
    """A dependency. Strict, so that "12", true and 12.5 are no integers; FastAPI's own bodies would take them."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, f"content type {media_type!r}, expected application/json")
    try:
        config = body().validate_json(await request.body(), strict=True)
    except ValidationError as e:
        raise RequestValidationError([_located(error) for error in e.errors()]) from None
    try:
        json.dumps(asdict(config), allow_nan=False)
    except ValueError:
        infinite = [k for k, v in asdict(config).items() if v in (float("inf"), float("-inf")) or v != v]
        errors = [FieldError(loc=["body", k], msg="expected a finite number", value="inf or nan") for k in infinite]
        raise InvalidFields(errors) from None
    return config


def check_inputs(session: Session, config: Any) -> None:
    """Raises a 422 that names each input which does not exist, is of another type, or may not be used from here."""
    inputs = kinds()[config.kind].inputs
    found = [
        _check_input(session, field, slot.types, id)
        for field, slot in inputs.items()
        for id in slot.named(getattr(config, field))
    ]
    if isinstance(config, ImportPlayConfig) and not config.plays and not list_plays(settings().plays_dir):
        found.append(FieldError(loc=["body", "plays"], msg="nothing was recorded here yet", value="[]"))
    if isinstance(config, RecordGymConfig):
        found.append(_check_environment(config.env))
    errors = [error for error in found if error is not None]
    if errors:
        raise InvalidFields(errors)


def _check_input(session: Session, field: str, types: tuple[str, ...], id: str) -> FieldError | None:
    if types == ("play",):
        if play_folder(settings().plays_dir, id) is not None:
            return None
        msg = "no such recording: expected the id of one in GET /v1/plays"
    else:
        found = type_of(session, id)
        if found in types:
            return None
        wanted = " or ".join(types)
        msg = f"this is a {found}, expected a {wanted}" if found else f"no such {wanted}"
    return FieldError(loc=["body", field], msg=msg, value=echo(id))


def type_of(session: Session, id: str) -> str | None:
    """Of the dataset or checkpoint with this id."""
    if _is_uuid(id) and session.get(Dataset, UUID(id)) is not None:
        return "dataset"
    checkpoint = session.get(Checkpoint, id) if "\x00" not in id else None
    return checkpoint.kind if checkpoint is not None else None


def _check_environment(env: str) -> FieldError | None:
    """`module:Class` imports the module: code of the operator's choice, not of a client's."""
    allowed = settings().allowed_environments
    if ":" not in env or env in allowed:
        return None
    msg = f"not allowed here: expected an id of gymnasium's or one of {', '.join(allowed) or 'none'}"
    return FieldError(loc=["body", "env"], msg=msg, value=echo(env))


def schemas(ref_template: str) -> dict[str, Any]:
    """JSON schema of the body. `kind` is required: it says which of the configs this is."""
    schema = body().json_schema(ref_template=ref_template)
    for config in schema["$defs"].values():
        config["required"] = sorted({"kind", *config.get("required", ())})
    return schema


def _located(error: Any) -> dict[str, Any]:
    """loc as (body, field): the union's tag is no part of what the client sent."""
    loc = tuple(part for i, part in enumerate(error["loc"]) if not (i == 0 and part in kinds()))
    return {**error, "loc": ("body", *loc)}


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
