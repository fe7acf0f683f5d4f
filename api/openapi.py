"""The API's description, completed: the job body's schemas, and problem+json for every error."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from terrarium.api.body import REF
from terrarium.api.errors import Problem
from terrarium.api.job_body import schemas

DESCRIPTION = "Train, generate and stream small neural worlds. Errors are RFC 9457 problem+json with a stable `code`."

SECURITY = {  # none on loopback: docs/deployment.md
    "key": {"type": "http", "scheme": "bearer", "description": "an API key: trm_..."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "terrarium_8420", "description": "set by POST /v1/login"},
}


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
                components |= _named_parts(operation)
                _add_problems(operation)
        document["components"]["securitySchemes"] = SECURITY
        document["security"] = [*({name: []} for name in SECURITY), {}]
        components["StepBody"]["properties"]["job"] = {"$ref": REF.format(model="JobConfig")}
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


def _named_parts(operation: dict[str, Any]) -> dict[str, Any]:
    """The schemas that those of a body refer to, taken out of it."""
    content = operation.get("requestBody", {}).get("content", {})
    return {name: part for body in content.values() for name, part in body["schema"].pop("$defs", {}).items()}


def _add_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    content = {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}}
    responses["default"] = {"description": "What went wrong", "content": content}
