"""Every error leaves the gateway as RFC 9457 problem+json, through the handlers below."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from terrarium.store import disk
from terrarium.store.errors import InvalidInput, TerrariumError, Unavailable, problem
from terrarium.store.settings import settings

log = logging.getLogger("terrarium.gateway")
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
MAX_ECHO = 200  # characters of a wrong value, or of a name, that an answer repeats
MAX_DETAIL = 2000  # characters
DATABASE_DOWN = (OperationalError, InterfaceError, PoolTimeout)
HEADERS = {  # by status: what a client needs to go on
    401: {"WWW-Authenticate": 'Bearer realm="terrarium"'},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "2"},
}


class FieldError(BaseModel):
    loc: list[str | int] = Field(description="where: body, query, path or header, then the field")
    msg: str
    value: Any = Field(None, description="what was sent, shortened")


class Problem(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="stable; made for programs")
    errors: list[FieldError] = Field(default=[], description="one for each field that is wrong")


class InvalidFields(InvalidInput):
    """422 with one entry for each field."""

    def __init__(self, errors: Sequence[FieldError], code: str | None = None, status: int | None = None) -> None:
        super().__init__("; ".join(f"{_name(e.loc)}: {e.msg}" for e in errors), code=code, status=status)
        self.errors = list(errors)


def install(app: FastAPI) -> None:
    app.add_exception_handler(TerrariumError, _terrarium_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    for error in DATABASE_DOWN:
        app.add_exception_handler(error, _database_down)
    app.add_exception_handler(Exception, _unexpected)


def answer(error: TerrariumError, headers: dict[str, str] | None = None) -> Response:
    extra = {"errors": [e.model_dump() for e in error.errors]} if isinstance(error, InvalidFields) else {}
    body = problem(error, **extra) | {"detail": shorten(error.message, MAX_DETAIL)}
    headers = HEADERS.get(error.status, {}) | (headers or {})
    return JSONResponse(body, error.status, headers, media_type="application/problem+json")


async def _terrarium_error(request: Request, e: Exception) -> Response:
    assert isinstance(e, TerrariumError)
    return answer(e)


async def _http_exception(request: Request, e: Exception) -> Response:
    """404 for paths, 405, 413 and the like, raised by the framework."""
    assert isinstance(e, HTTPException)
    if e.status_code < 400:
        return Response(status_code=e.status_code)
    phrase = HTTPStatus(e.status_code).phrase
    place = shorten(f"{request.method} {request.url.path}")
    detail = f"{place}: {e.detail if e.detail != phrase else phrase.lower()}"
    code = CODES.get(e.status_code, phrase.lower().replace(" ", "_"))
    headers = dict(e.headers) if e.headers else None
    if e.status_code == 405:
        headers = {"Allow": ", ".join(_methods_of(request.app, request.url.path))}
    return answer(TerrariumError(detail, code=code, status=e.status_code), headers)


async def _validation_error(request: Request, e: Exception) -> Response:
    assert isinstance(e, RequestValidationError)
    errors = [field_error(error) for error in e.errors()]
    if any(error["type"] == "json_invalid" for error in e.errors()):
        return answer(InvalidFields(errors[:1], code="malformed_json", status=400))
    return answer(InvalidFields(errors))


async def _database_down(request: Request, e: Exception) -> Response:
    log.warning("%s %s: %s", request.method, request.url.path, e)
    return answer(database_down(e))


def database_down(e: Exception) -> Unavailable:
    if disk.says_full(e):
        free = disk.human(disk.free_bytes(settings().data_dir))
        message = f"the database has no room to write: {settings().data_dir} has {free} free"
        return Unavailable(message, code="disk_full")
    return Unavailable("the database does not answer; try again shortly")


async def _unexpected(request: Request, e: Exception) -> Response:
    """The traceback goes to the log (Starlette raises it again after this), nothing of it to the client."""
    return answer(TerrariumError("something went wrong here; the log of the gateway says what", code="internal_error"))


def field_error(error: Any) -> FieldError:
    """From pydantic's."""
    loc = [shorten(part) if isinstance(part, str) else part for part in error["loc"]]
    return FieldError(loc=loc, msg=error["msg"], value=echo(error.get("input")))


def echo(value: Any) -> Any:
    """A value as sent, where it is short and JSON; else the beginning of its text."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return shorten(repr(value))
    return value if len(text) <= MAX_ECHO else shorten(text)


def shorten(text: str, most: int = MAX_ECHO) -> str:
    return text if len(text) <= most else text[:most] + "..."


def _methods_of(app: FastAPI, path: str) -> list[str]:
    """All of a path's methods; the router itself lists only those of the first route that fits."""
    for template, operations in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return sorted(method.upper() for method in operations)
    return ["GET"]  # the web client's files


def _name(loc: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in (loc[1:] or loc))
