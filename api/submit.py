"""POST /v1/jobs: from a request to a row that survives a power cut.

    body -> config (job_body.py) -> `draft`: its inputs and the disk are checked -> `Writer`: its group's commit -> 201

A commit waits for the disk, for a hundred jobs about as long as for one. So transactions are written one at a time, and
what comes in meanwhile shares the next. Nothing waits for company: where nobody else asks, a group is one job.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from terrarium.api import once
from terrarium.api.access import check_priority, identity_of
from terrarium.api.errors import DATABASE_DOWN
from terrarium.api.inputs import check_inputs, default_name
from terrarium.api.job_body import job_config
from terrarium.api.jobs import JobView, missing
from terrarium.api.room import check_room
from terrarium.store import jobs, line, logs
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict, TerrariumError
from terrarium.store.tables import Job
from terrarium.worlds.kinds import MAX_NAME, kinds

log = logging.getLogger("terrarium.gateway")
router = APIRouter(prefix="/v1", tags=["jobs"])
MOST = 100  # jobs in a transaction
Name = Annotated[str | None, Query(min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00]*$")]
Priority = Annotated[
    int,
    Query(ge=line.LOWEST, le=line.HIGHEST, description="the higher starts first; more than 0 takes the scope admin"),
]
Processes = Annotated[
    int,
    Query(ge=1, le=64, description="that share its training, a GPU each; only kinds whose `several` is true take more"),
]
After = Annotated[list[UUID], Query(max_length=50, description="jobs that must have succeeded before it starts")]


@router.post("/jobs", status_code=201, responses={200: {"description": "That key's job", "model": JobView}})
async def submit(
    config: Annotated[Any, Depends(job_config)],
    request: Request,
    response: Response,
    key: once.Key = None,
    name: Name = None,
    priority: Priority = 0,
    processes: Processes = 1,
    after: After = [],  # noqa: B006
) -> JobView:
    """Queue a job. With an `Idempotency-Key`, the same body again gives the same job, and no second one. If `name` is
    omitted, it is made of the kind, its inputs and the preset."""
    check_priority(identity_of(request), priority)
    check_processes(config.kind, processes)
    view, new = await WRITER.write(await run_in_threadpool(draft, config, key, name, priority, processes, after))
    if not new:
        response.status_code = 200
        return view
    response.headers["Location"] = f"/v1/jobs/{view.id}"
    with logs.about(job=view.id):
        log.info("job %s: submitted, %s", view.id, config.kind)
    return view


@dataclass(frozen=True)
class Draft:
    """A job that was checked and is to be written."""

    row: dict[str, Any]
    """Of store/jobs.py."""
    key: str | None
    use: once.Use
    """What its key stands for from now on."""


Written = tuple[JobView, bool]  # a job, and whether it is new


def draft(
    config: Any,
    key: str | None,
    name: str | None,
    priority: int = 0,
    processes: int = 1,
    after: Sequence[UUID] = (),
) -> Draft:
    """Checks what the config alone does not tell. A request whose key has made its job is right, whatever has become of
    its inputs since."""
    body = json.loads(json.dumps(asdict(config)))
    try:
        with session_scope() as session:
            check_inputs(session, config)
            check_room(session, body)
            check_after(session, after)
            name = name or default_name(session, config)
    except TerrariumError:
        if key is None or not once.is_used(key):
            raise
    row = jobs.new_row(
        body, kinds()[config.kind].queue, name=name or "", priority=priority, processes=processes, after=after
    )
    return Draft(row, key, once.Use(once.sha256_of(body), row["id"]))


def check_processes(kind: str, processes: int) -> None:
    """Conflict where the kind cannot share its work."""
    if processes > 1 and not kinds()[kind].several:
        able = ", ".join(name for name, row in kinds().items() if row.several)
        raise Conflict(f"processes: {kind} takes 1, found {processes}; {able} take more", code="one_process")


def check_after(session: Session, after: Sequence[UUID]) -> None:
    """NotFound, or Conflict for a job that will not succeed any more. None of them ends before the transaction."""
    states = jobs.states_of(session, after) if after else {}
    for id in after:
        if id not in states:
            raise missing(id)
        if states[id] in ("failed", "cancelled"):
            raise Conflict(f"after: job {id} is {states[id]}: retry it first", code="earlier_not_made")


class Writer:
    """Writes drafts in groups: those that came while a group was written are the next."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Draft, asyncio.Future[Written]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, draft: Draft) -> Written:
        """Returns once the job is committed; raises what is wrong with this one, or with the database. Whoever goes
        away while he waits has his job all the same: his key finds it."""
        written: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.append((draft, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_groups())
        return await written

    async def _write_groups(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                outcomes = await run_in_threadpool(write_group, [draft for draft, _ in group])
            except asyncio.CancelledError:  # the server ends at once
                for _, written in group:
                    written.cancel()
                raise
            for (_, written), outcome in zip(group, outcomes, strict=True):
                if written.done():
                    continue
                if isinstance(outcome, Exception):
                    written.set_exception(outcome)
                else:
                    written.set_result(outcome)


WRITER = Writer()


def write_group(drafts: Sequence[Draft]) -> list[Written | Exception]:
    """One transaction. A draft that Postgres refuses does not take its neighbours along: then each has its own."""
    try:
        return _write(drafts)
    except DATABASE_DOWN as e:
        return [e for _ in drafts]
    except Exception as e:
        if len(drafts) == 1:
            return [e]
        return [outcome for draft in drafts for outcome in write_group([draft])]


def _write(drafts: Sequence[Draft]) -> list[Written | Exception]:
    with session_scope() as session:
        used = once.used(session, [draft.key for draft in drafts if draft.key is not None])
        new = {draft.key or draft.row["id"]: draft for draft in drafts[::-1] if draft.key not in used}  # a key's first
        check_after(session, [id for draft in new.values() for id in draft.row["after"]])  # now none ends before we do
        made = jobs.submit_all(session, [draft.row for draft in reversed(new.values())])
        ours = {draft.key: draft.use for draft in new.values() if draft.key is not None}
        if once.keep(session, ours):
            ids = {job.id: job for job in made}
            return [_outcome(session, draft, used | ours, ids) for draft in drafts]
        session.rollback()  # another gateway was first with one of the keys
    return _write(drafts)


def _outcome(
    session: Session, draft: Draft, used: Mapping[str, once.Use], made: Mapping[UUID, Job]
) -> Written | Exception:
    """Of a draft whose key, if it has one, is among those that are used."""
    use = draft.use if draft.key is None else used[draft.key]
    if use.body_sha256 != draft.use.body_sha256:
        return once.conflict(draft.key)
    job = made.get(use.job_id) or session.get_one(Job, use.job_id)
    return JobView.of(job), use == draft.use
