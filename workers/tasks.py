"""The one Celery task: claim the first job in line, supervise its run, settle it."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any
from uuid import uuid4

from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from terrarium.store import dispatch, jobs, logs
from terrarium.store.db import session_scope
from terrarium.store.jobs import LeaseLost
from terrarium.store.settings import settings
from terrarium.store.tables import Job
from terrarium.workers.celery_app import LOOK, app, queues
from terrarium.workers.presence import Presence
from terrarium.workers.pulse import keep_beating
from terrarium.workers.supervisor import Supervisor

log = logging.getLogger("terrarium.worker")
DRAIN = threading.Event()  # set once this worker has been asked to end
# Another after a restart, also in a container, where host and pid come again.
PRESENCE = Presence(f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}", queues)


@worker_init.connect
def _begin(**_: Any) -> None:
    keep_beating()


@worker_ready.connect
def _appear(**_: Any) -> None:
    """In the list of workers, although no job has come yet."""
    PRESENCE.begin()


@worker_shutdown.connect
def _disappear(**_: Any) -> None:
    PRESENCE.end()


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    """Celery's warm shutdown (SIGTERM, SIGINT) waits for the task, which this event stops."""
    DRAIN.set()


@app.task(name=LOOK)
def look() -> None:
    """Runs the first job in line, if there is one: any number of messages about it start it once."""
    with session_scope() as session:
        if DRAIN.is_set():
            # The message is ours and already acknowledged: another worker needs a new one.
            dispatch.look_again(session, queues(), settings().processes)
            return
        PRESENCE.announce()  # before the claim: whoever holds a job without it is taken for dead
        job = jobs.claim_next(session, queues(), PRESENCE.worker, settings().lease_s, settings().processes)
    if job is None:
        log.info("nothing to do in %s", ", ".join(queues()))
        return
    with logs.about(job=job.id, run=job.fence):
        _supervise(job)


def _supervise(job: Job) -> None:
    log.info("job %s: run %d of %s", job.id, job.fence, job.kind)
    try:
        Supervisor(job, DRAIN).run()
    except LeaseLost:
        log.warning("job %s: run %d was taken away", job.id, job.fence)
    except OSError as e:
        log.exception("job %s: this machine could not run it", job.id)
        _try_later(job, e)
    except Exception as e:
        log.exception("job %s: supervision failed", job.id)
        with session_scope() as session:
            jobs.fail(session, job.id, job.fence, {"code": "internal_error", "message": f"{type(e).__name__}: {e}"})


def _try_later(job: Job, e: OSError) -> None:
    """No process, no disk, no artifact store: not the job's fault, so perhaps later, perhaps elsewhere."""
    error = {"code": "worker_error", "message": str(e)}
    with session_scope() as session:
        jobs.retry_later(session, job.id, job.fence, error)
