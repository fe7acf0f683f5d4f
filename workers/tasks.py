"""The one Celery task: claim the job, supervise its run, settle it."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any
from uuid import UUID, uuid4

from celery.signals import worker_init, worker_shutting_down

from terrarium.store import jobs
from terrarium.store.db import session_scope
from terrarium.store.jobs import LeaseLost
from terrarium.store.settings import settings
from terrarium.store.tables import Job
from terrarium.workers.celery_app import RUN_JOB, app
from terrarium.workers.presence import Presence
from terrarium.workers.pulse import keep_beating
from terrarium.workers.supervisor import Supervisor

log = logging.getLogger("terrarium.worker")
DRAIN = threading.Event()  # set once this worker has been asked to end
# Another after a restart, also in a container, where host and pid come again.
PRESENCE = Presence(f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}")


@worker_init.connect
def _begin(**_: Any) -> None:
    keep_beating()


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    """Celery's warm shutdown (SIGTERM, SIGINT) waits for the task, which this event stops."""
    DRAIN.set()


@app.task(name=RUN_JOB)
def run_job(job_id: str) -> None:
    """Runs the job if it is still queued; any number of messages about it start it once."""
    id = UUID(job_id)
    with session_scope() as session:
        if DRAIN.is_set():
            jobs.emit(session, id)  # the message is ours and already acknowledged: another worker needs a new one
            return
        PRESENCE.announce()  # before the claim: whoever holds a job without it is taken for dead
        job = jobs.claim(session, id, PRESENCE.worker, settings().lease_s)
    if job is None:
        log.info("job %s: not queued any more", id)
        return
    log.info("job %s: run %d of %s", id, job.fence, job.kind)
    try:
        Supervisor(job, DRAIN).run()
    except LeaseLost:
        log.warning("job %s: run %d was taken away", id, job.fence)
    except OSError as e:
        log.exception("job %s: this machine could not run it", id)
        _try_later(job, e)
    except Exception as e:
        log.exception("job %s: supervision failed", id)
        with session_scope() as session:
            jobs.fail(session, id, job.fence, {"code": "internal_error", "message": f"{type(e).__name__}: {e}"})


def _try_later(job: Job, e: OSError) -> None:
    """No process, no disk, no artifact store: not the job's fault, so perhaps later, perhaps elsewhere."""
    error = {"code": "worker_error", "message": str(e)}
    with session_scope() as session:
        jobs.retry_later(session, job.id, job.fence, error)
