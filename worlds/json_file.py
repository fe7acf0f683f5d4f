"""JSON files that somebody else may have written, read strictly. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

T = TypeVar("T")
MAX_BYTES = 2**28  # a manifest of a million episodes


def read_object(file: Path) -> dict[str, Any]:
    """ValueError, which names the file, for what is no JSON object in UTF-8."""
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{file} has {size} bytes, expected at most {MAX_BYTES}")
    return object_of(file.read_bytes(), str(file))


def object_of(data: bytes, name: str) -> dict[str, Any]:
    """ValueError as of `read_object`; `name` is what it calls the data."""
    try:
        found = from_json(data)
    except ValueError as e:
        raise ValueError(f"{name} is not JSON: {e}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{name}: expected a JSON object, found {type(found).__name__}")
    return found


def checked(data: dict[str, Any], type: TypeAdapter[T], file: Path, *, strict: bool = False) -> T:
    """What `file` says, as `type`. ValueError names the first field that is missing or wrong."""
    try:
        return type.validate_python(data, strict=strict)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{file}: {where}: {first['msg']}, found {repr(first['input'])[:80]}") from None
