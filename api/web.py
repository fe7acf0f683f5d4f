"""The web client's built files, with every path of the client answered by its one page; and /docs, with swagger-ui's
files from the same folder, so that it works without a network."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

DIST = Path(__file__).resolve().parent.parent / "web" / "dist"
NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Terrarium</title>
<style>body{font:16px/1.5 system-ui;max-width:36rem;margin:4rem auto;padding:0 1rem}</style>
<h1>Terrarium is running</h1>
<p>Its web client has not been built: run <code>npm ci && npm run build</code> in <code>web/</code>,
then start the gateway again.</p>
<p>The API is here all the same: <a href="/openapi.json">its description</a>,
<a href="/v1/jobs">jobs</a>, <a href="/health/ready">health</a>.</p>
"""
# FastAPI's page has an inline script; swagger-ui sets styles and draws from data: URLs.
INLINE = "'self' 'unsafe-inline'"
DOCS_POLICY = f"default-src 'self'; script-src {INLINE}; style-src {INLINE}; img-src 'self' data:"


def add_client(app: FastAPI, dist: Path = DIST) -> None:
    """Last of all: files of the client, its page for any other path that a browser navigates to, 404 for the rest."""
    if (dist / "index.html").is_file():
        app.get("/docs", include_in_schema=False)(docs)
        client = APIRouter(dependencies=[Depends(_not_the_api)])
        client.frontend("/", directory=dist, fallback="index.html")
        app.include_router(client)
    else:
        app.get("/", include_in_schema=False)(not_built)


def docs() -> HTMLResponse:
    """The API's documentation, to read and to try. The page may load and call nothing but this gateway."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Terrarium's API",
        swagger_js_url="/swagger/swagger-ui-bundle.js",
        swagger_css_url="/swagger/swagger-ui.css",
        swagger_favicon_url="/favicon.svg",
    )
    page.headers["Content-Security-Policy"] = DOCS_POLICY
    return page


def not_built() -> HTMLResponse:
    return HTMLResponse(NOT_BUILT)


def _not_the_api(request: Request) -> None:
    """A path of the API that does not exist is a 404, in a browser too."""
    if request.url.path.startswith(("/v1/", "/health/")):
        raise HTTPException(404)
