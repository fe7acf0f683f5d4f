"""The body of POST /v1/jobs: JSON, strictly, into one of the config dataclasses; then its inputs must exist."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Discriminator, TypeAdapter
from sqlalchemy.orm import Session

from api.body import strict_json
from api.errors import FieldError, InvalidFields, echo
from store.settings import settings
from store.tables import Checkpoint, Dataset
from worlds.configs import CONFIGS, INPUTS, JobConfig, RecordGymConfig

BODY: TypeAdapter[JobConfig] = TypeAdapter(Annotated[JobConfig, Discriminator("kind")])


async def job_config(request: Request) -> JobConfig:
    """A dependency."""
    try:
        config = await strict_json(request, BODY)
    except RequestValidationError as e:
        raise RequestValidationError([_without_tag(error) for error in e.errors()]) from None
    try:
        json.dumps(asdict(config), allow_nan=False)
    except ValueError:
        infinite = [k for k, v in asdict(config).items() if v in (float("inf"), float("-inf")) or v != v]
        errors = [FieldError(loc=["body", k], msg="expected a finite number", value="inf or nan") for k in infinite]
        raise InvalidFields(errors) from None
    return config


HOLDER = {"tokenizer": "world-model"}  # a kind of checkpoint that another holds


def check_inputs(session: Session, config: JobConfig) -> None:
    """Raises a 422 that names each input which does not exist, is of another kind, or may not be used from here."""
    names = [f.name for f in fields(config) if f.name in INPUTS]
    given = {name: getattr(config, name) for name in names}
    found = [_check_input(session, name, id) for name, id in given.items() if id is not None]
    if isinstance(config, RecordGymConfig):
        found.append(_check_environment(config.env))
    errors = [error for error in found if error is not None]
    if errors:
        raise InvalidFields(errors)


def _check_input(session: Session, field: str, id: str) -> FieldError | None:
    kind = INPUTS[field]
    if kind == "dataset":
        if _is_uuid(id) and session.get(Dataset, UUID(id)) is not None:
            return None
        msg = "no such dataset: expected the id of one in GET /v1/datasets"
    elif kind == "plays":
        if id == "all":
            return None
        msg = "no such plays: expected 'all', which are those recorded here"
    else:
        checkpoint = session.get(Checkpoint, id) if "\x00" not in id else None
        if checkpoint is not None and checkpoint.kind in (kind, HOLDER.get(kind)):
            return None
        found = "no such checkpoint" if checkpoint is None else f"this checkpoint is a {checkpoint.kind}"
        msg = f"{found}: expected the id of a {kind} in GET /v1/checkpoints"
    return FieldError(loc=["body", field], msg=msg, value=echo(id))


def _check_environment(env: str) -> FieldError | None:
    """`module:Class` imports the module: code of the operator's choice, not of a client's."""
    allowed = settings().allowed_environments
    if ":" not in env or env in allowed:
        return None
    msg = f"not allowed here: expected an id of gymnasium's or one of {', '.join(allowed) or 'none'}"
    return FieldError(loc=["body", "env"], msg=msg, value=echo(env))


def schemas(ref_template: str) -> dict[str, Any]:
    """JSON schema of the body. `kind` is required: it says which of the configs this is."""
    schema = BODY.json_schema(ref_template=ref_template)
    for config in schema["$defs"].values():
        config["required"] = sorted({"kind", *config.get("required", ())})
    return schema


def _without_tag(error: Any) -> dict[str, Any]:
    """Of an error of the union: its tag in `loc` is no part of what the client sent."""
    body, *rest = error["loc"]
    if error["type"] == "union_tag_invalid":  # pydantic's message repeats the tag, however long
        msg = f"expected one of {error['ctx']['expected_tags']}"
        return {**error, "loc": (body, "kind"), "msg": msg, "input": error["input"]["kind"]}
    return {**error, "loc": (body, *(rest[1:] if rest and rest[0] in CONFIGS else rest))}


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
