"""Lists: by keyset, newest first, with a cursor that names the row to go on after, so that new rows do not shift it;
and filters."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic_core import CoreSchema, core_schema
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from terrarium.api.errors import FieldError, InvalidFields, echo

Row = TypeVar("Row", bound=Any)
Limit = Annotated[int, Query(ge=1, le=200, description="rows in an answer")]
Cursor = Annotated[str | None, Query(max_length=200, description="next_cursor of the answer before")]


@dataclass(frozen=True)
class OneOf:
    """Narrows a `str` to these values, as `Literal` does for values that are written out."""

    values: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.literal_schema(list(self.values))


def page(
    session: Session, table: type[Row], statement: Select[Row], limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """-> rows of `statement`, newest first, and the cursor of the next page (None at the end)."""
    key = tuple_(table.created_at, table.id)
    if cursor is not None:
        created_at, id = _decode(cursor)
        try:
            id = table.id.type.python_type(id)
        except ValueError:
            raise _bad(cursor) from None
        statement = statement.where(key < tuple_(created_at, id))
    rows = session.scalars(statement.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)).all()
    more = len(rows) > limit
    return rows[:limit], _encode(rows[limit - 1]) if more else None


def _encode(row: Any) -> str:
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()}|{row.id}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at, separator, id = text.partition("|")
        created_at = datetime.fromisoformat(at)
    except ValueError:
        raise _bad(cursor) from None
    if not separator or created_at.tzinfo is None or "\x00" in id:
        raise _bad(cursor)
    return created_at, id


def _bad(cursor: str) -> InvalidFields:
    msg = "not a cursor of this list; leave it out to start at the newest"
    return InvalidFields([FieldError(loc=["query", "cursor"], msg=msg, value=echo(cursor))], code="bad_cursor")
