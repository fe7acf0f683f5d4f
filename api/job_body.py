"""The body of POST /v1/jobs: JSON, strictly, into one of the config dataclasses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Discriminator, TypeAdapter, ValidationError

from terrarium.api.body import refused, strict_json
from terrarium.api.errors import FieldError, InvalidFields, echo
from terrarium.store.settings import settings
from terrarium.worlds.episodes.kinds import RecordGymConfig
from terrarium.worlds.generators.kinds import AlignConfig
from terrarium.worlds.kinds import kinds
from terrarium.worlds.materials.kinds import MaterialTrainConfig


@cache
def body() -> TypeAdapter[Any]:
    """Of any kind that a client may submit; `kind` says which."""
    configs = [kind.config for kind in kinds().values() if kind.http]
    return TypeAdapter(Annotated[reduce(or_, configs), Discriminator("kind")])  # type: ignore[arg-type]


async def job_config(request: Request) -> Any:
    """A dependency."""
    try:
        return _allowed(await strict_json(request, body()))
    except RequestValidationError as e:
        raise RequestValidationError([_without_tag(error) for error in e.errors()]) from None


def config_of(job: dict[str, Any]) -> Any:
    """Of JSON that stood within another body; errors as of that of POST /v1/jobs."""
    try:
        return _allowed(body().validate_json(json.dumps(job), strict=True))
    except ValidationError as e:
        raise RequestValidationError([_without_tag(error) for error in refused(e).errors()]) from None


def _allowed(config: Any) -> Any:
    if isinstance(config, RecordGymConfig):
        _check_environment(config.env)
    if isinstance(config, AlignConfig):
        _check_imports("own_rewards", config.own_rewards, settings().allowed_rewards)
    if isinstance(config, MaterialTrainConfig) and config.own_loss is not None:
        _check_imports("own_loss", (config.own_loss,), settings().allowed_losses)
    return config


def _check_environment(env: str) -> None:
    """`module:Class` imports the module: code of the operator's choice, not of a client's."""
    allowed = settings().allowed_environments
    if ":" in env and env not in allowed:
        msg = f"not allowed here: expected an id of gymnasium's or one of {', '.join(allowed) or 'none'}"
        raise InvalidFields([FieldError(loc=["body", "env"], msg=msg, value=echo(env))])


def _check_imports(field: str, names: tuple[str, ...], allowed: Sequence[str]) -> None:
    """As `_check_environment`."""
    for name in names:
        if name not in allowed:
            msg = f"not allowed here: expected one of {', '.join(allowed) or 'none'}"
            raise InvalidFields([FieldError(loc=["body", field], msg=msg, value=echo(name))])


def schemas(ref_template: str) -> dict[str, Any]:
    """JSON schema of the body. `kind` is required: it says which of the configs this is."""
    schema = body().json_schema(ref_template=ref_template)
    for config in schema["$defs"].values():
        config["required"] = sorted({"kind", *config.get("required", ())})
    return schema


def _without_tag(error: Any) -> dict[str, Any]:
    """Of an error of the union: its tag in `loc` is no part of what the client sent."""
    body, *rest = error["loc"]
    if error["type"] == "union_tag_invalid":  # pydantic's message repeats the tag, however long
        msg = f"expected one of {error['ctx']['expected_tags']}"
        return {**error, "loc": (body, "kind"), "msg": msg, "input": error["input"]["kind"]}
    return {**error, "loc": (body, *(rest[1:] if rest and rest[0] in kinds() else rest))}
