"""The gateway: REST, events, live play's relay and the web client. It never imports torch.

api/server.py serves it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from terrarium.api import (
    artifacts,
    assets,
    catalog,
    disk,
    episodes,
    errors,
    generators,
    health,
    job_body,
    job_changes,
    job_events,
    jobs,
    keys,
    materials,
    plans,
    play,
    plays,
    queues,
    submit,
    uploads,
    webhooks,
    worlds,
)
from terrarium.api.guard import Guard
from terrarium.api.job_events import Watch
from terrarium.api.openapi import describe
from terrarium.api.web import add_client


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await run_in_threadpool(assets.open_library)
    job_body.body()  # its schema takes a while, for which the first submission would wait
    watch = app.state.watch = Watch()
    listening = asyncio.create_task(watch.run())
    loop = asyncio.get_running_loop()
    before_stop(lambda: loop.call_soon_threadsafe(watch.close))
    yield
    watch.close()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening


def before_stop(act: Callable[[], Any]) -> None:
    """Also does `act` when the server is told to stop: it then waits for open streams, which must end first."""
    if threading.current_thread() is not threading.main_thread():
        return  # a test's server
    for signum in (signal.SIGINT, signal.SIGTERM):
        theirs = signal.getsignal(signum)
        if not callable(theirs):
            continue

        def handle(number: int, frame: FrameType | None, theirs: Callable[..., Any] = theirs) -> None:
            act()
            theirs(number, frame)

        signal.signal(signum, handle)


def make_app() -> FastAPI:
    app = FastAPI(title="Terrarium", version=_version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    errors.install(app)
    app.add_middleware(Guard)
    rooms = (episodes, worlds, generators, materials)
    of_jobs = (submit, jobs, job_changes, job_events, queues, plans)
    of_access = (keys, webhooks)
    for part in (*of_jobs, artifacts, assets, *rooms, uploads, catalog, play, plays, *of_access, disk, health):
        app.include_router(part.router)
    add_client(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def _version() -> str:
    try:
        return version("terrarium")
    except PackageNotFoundError:  # run from a checkout
        return "0"


app = make_app()

# python -m terrarium.api.app > web/openapi.json: what the browser client's types are generated from
if __name__ == "__main__":
    print(json.dumps(app.openapi(), indent=1, ensure_ascii=False))
