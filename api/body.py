"""Bodies of requests: JSON, read strictly into a pydantic type. FastAPI's own would take "12", 12.0 or false as 12."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
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
        errors = e.errors(include_url=False)[:MAX_ERRORS]
        raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in errors]) from None


def described(type: TypeAdapter[Any]) -> dict[str, Any]:
    """The body of an operation in the API's description."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": type.json_schema()}}}}
