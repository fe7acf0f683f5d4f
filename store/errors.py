"""Errors that a user sees, each with a stable `code`; the gateway renders them as RFC 9457 problem+json.

    TerrariumError (500 internal)
    ├── InvalidInput    422 invalid_input
    ├── Unauthorized    401 unauthorized
    ├── Forbidden       403 forbidden
    ├── NotFound        404 not_found
    ├── Conflict        409 conflict
    ├── TooLarge        413 too_large
    ├── TooMany         429 too_many
    └── Unavailable     503 unavailable

`code` may be narrowed at the place that raises: `Conflict("job is succeeded", code="job_ended")`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class TerrariumError(Exception):
    code = "internal"
    status = 500

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.status = status or type(self).status


class InvalidInput(TerrariumError):
    code, status = "invalid_input", 422


class Unauthorized(TerrariumError):
    code, status = "unauthorized", 401


class Forbidden(TerrariumError):
    code, status = "forbidden", 403


class NotFound(TerrariumError):
    code, status = "not_found", 404


class Conflict(TerrariumError):
    code, status = "conflict", 409


class TooLarge(TerrariumError):
    code, status = "too_large", 413


class TooMany(TerrariumError):
    code, status = "too_many", 429


class Unavailable(TerrariumError):
    code, status = "unavailable", 503


def problem(error: TerrariumError, **extra: Any) -> dict[str, Any]:
    """The body of an application/problem+json answer; `extra` may carry `errors` of single fields."""
    return {
        "type": f"urn:terrarium:error:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        **extra,
    }
