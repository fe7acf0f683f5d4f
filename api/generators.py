"""Which generator draws new worlds: a person promotes one, or one measurement of it. A tag on its asset says so."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy.orm import Session

from terrarium.api.body import body_of, described
from terrarium.api.errors import FieldError, InvalidFields, echo
from terrarium.store import assets
from terrarium.store.db import session_scope
from terrarium.store.tables import Asset
from terrarium.worlds.kinds import kinds

router = APIRouter(prefix="/v1", tags=["generators"])
TAG = "draws new worlds"
TAGGED = re.compile(rf"{TAG}(?:, step (\d+))?")


class Promoted(BaseModel):
    generator: str | None = Field(description="its id; null is the one that comes with the project")
    measurement: int | None = Field(description="step of the measurement that draws; null is the best")
    name: str | None


class Choice(BaseModel):
    model_config = ConfigDict(extra="forbid")
    generator: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9a-z-]+$")] | None
    measurement: Annotated[int, Field(ge=1, le=100_000)] | None = None


CHOICE = TypeAdapter(Choice)


@router.get("/promoted-generator")
def get_promoted() -> Promoted:
    """The generator that draws new worlds where a page lets nobody choose."""
    with session_scope() as session:
        return _promoted(session)


@router.put("/promoted-generator", openapi_extra=described(CHOICE))
def promote(choice: Annotated[Choice, Depends(body_of(CHOICE))]) -> Promoted:
    """One in place of the one before. If `generator` is null, the one that comes with the project draws again."""
    with session_scope() as session:
        found = {row.id: row for row in session.scalars(assets.search(["generator"]).with_for_update())}
        _check(found, choice)
        for row in found.values():
            row.tags = [tag for tag in row.tags if not TAGGED.fullmatch(tag)]
        if choice.generator is not None:
            step = f", step {choice.measurement}" if choice.measurement is not None else ""
            chosen = found[choice.generator]
            chosen.tags = sorted([*chosen.tags, TAG + step])
        session.flush()
        return _promoted(session)


def _promoted(session: Session) -> Promoted:
    for row in session.scalars(assets.search(["generator"])):
        for tag in row.tags:
            if tagged := TAGGED.fullmatch(tag):
                step = int(tagged[1]) if tagged[1] else None
                return Promoted(generator=row.id, measurement=step, name=row.name)
    return Promoted(generator=None, measurement=None, name=None)


def _check(found: dict[str, Asset], choice: Choice) -> None:
    """422 for a generator that is not there, and for a measurement that a job could not draw from."""
    if choice.generator is None:
        wrong = {"measurement": "expected an aligned generator"} if choice.measurement is not None else {}
    elif choice.generator not in found:
        wrong = {"generator": "no such generator"}
    else:
        sample = kinds()["world.sample"]
        wrong = sample.misfits(sample.draft(choice.model_dump()), {"generator": found[choice.generator].manifest})
    if wrong:
        given = choice.model_dump()
        raise InvalidFields(
            [FieldError(loc=["body", name], msg=msg, value=echo(given[name])) for name, msg in wrong.items()]
        )
