"""The API's description, completed: the job body's schemas, and problem+json for every error."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from terrarium.api.errors import Problem
from terrarium.api.job_body import schemas

REF = "#/components/schemas/{model}"
DESCRIPTION = "Train, generate and stream small neural worlds. Errors are RFC 9457 problem+json with a stable `code`."


def describe(app: FastAPI) -> dict[str, Any]:
    """Computed once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        components = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, never sent
            components.pop(name, None)
        _add_body(document, components)
        problem = Problem.model_json_schema(ref_template=REF)
        components |= {**problem.pop("$defs"), "Problem": problem}
        for path in document["paths"].values():
            for operation in path.values():
                _add_problems(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _add_body(document: dict[str, Any], components: dict[str, Any]) -> None:
    body = schemas(REF)
    components |= body.pop("$defs")
    components["JobConfig"] = body
    reference = {"$ref": REF.format(model="JobConfig")}
    document["paths"]["/v1/jobs"]["post"]["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": reference}},
    }


def _add_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    content = {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}}
    responses["default"] = {"description": "What went wrong", "content": content}
