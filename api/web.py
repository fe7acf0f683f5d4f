"""The web client's built files, with every path of the client answered by its one page."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

DIST = Path(__file__).resolve().parent.parent / "web" / "dist"
NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Terrarium</title>
<style>body{font:16px/1.5 system-ui;max-width:36rem;margin:4rem auto;padding:0 1rem}</style>
<h1>Terrarium is running</h1>
<p>Its web client has not been built: run <code>npm ci && npm run build</code> in <code>web/</code>,
then start the gateway again.</p>
<p>The API is here all the same: <a href="/docs">its documentation</a>,
<a href="/v1/jobs">jobs</a>, <a href="/health/ready">health</a>.</p>
"""


def add_client(app: FastAPI, dist: Path = DIST) -> None:
    """Last of all: files of the client, its page for any other path that a browser navigates to, 404 for the rest."""
    if (dist / "index.html").is_file():
        client = APIRouter(dependencies=[Depends(_not_the_api)])
        client.frontend("/", directory=dist, fallback="index.html")
        app.include_router(client)
    else:
        app.get("/", include_in_schema=False)(not_built)


def not_built() -> HTMLResponse:
    return HTMLResponse(NOT_BUILT)


def _not_the_api(request: Request) -> None:
    """A path of the API that does not exist is a 404, in a browser too."""
    if request.url.path.startswith(("/v1/", "/health/")):
        raise HTTPException(404)
