"""Bodies of requests: JSON, read strictly into a pydantic type. FastAPI's own would take "12", 12.0 or false as 12."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from terrarium.worlds.kinds import Conflict

T = TypeVar("T")
REF = "#/components/schemas/{model}"
MAX_ERRORS = 20  # that an answer names: a body has room for a hundred thousand


async def strict_json(request: Request, type: TypeAdapter[T]) -> T:
    """Raises 415 for another content type, 400 for what is not JSON in UTF-8, 422 naming the fields that
    are wrong."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, f"content type {media_type!r}, expected application/json")
    try:
        return type.validate_json(await request.body(), strict=True)
    except ValidationError as e:
        raise refused(e) from None


def body_of(type: TypeAdapter[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency: the request's body as `type`."""

    async def read(request: Request) -> T:
        return await strict_json(request, type)

    return read


def refused(e: ValidationError) -> RequestValidationError:
    """The first of a body's errors. A contradiction is one of its field."""
    errors = []
    for error in e.errors(include_url=False)[:MAX_ERRORS]:
        loc = ("body", *error["loc"])
        conflict = error.get("ctx", {}).get("error")
        if isinstance(conflict, Conflict):
            value = error["input"].get(conflict.field)
            errors.append({**error, "loc": (*loc, conflict.field), "msg": conflict.reason, "input": value})
        else:
            errors.append({**error, "loc": loc})
    return RequestValidationError(errors)


def described(type: TypeAdapter[Any]) -> dict[str, Any]:
    """The body of an operation in the API's description."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": type.json_schema(ref_template=REF)}},
        }
    }
