"""The body of POST /v1/jobs: JSON, strictly, into one of the config dataclasses."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Discriminator, TypeAdapter, ValidationError

from api.errors import FieldError, InvalidFields, echo
from store.settings import settings
from worlds.episodes.kinds import RecordGymConfig
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
    if isinstance(config, RecordGymConfig):
        _check_environment(config.env)
    return config


def _check_environment(env: str) -> None:
    """`module:Class` imports the module: code of the operator's choice, not of a client's."""
    allowed = settings().allowed_environments
    if ":" in env and env not in allowed:
        msg = f"not allowed here: expected an id of gymnasium's or one of {', '.join(allowed) or 'none'}"
        raise InvalidFields([FieldError(loc=["body", "env"], msg=msg, value=echo(env))])


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
