"""Plans over HTTP: jobs that follow each other, submitted, seen and cancelled as one (worlds/plans.py)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Len
from fastapi import APIRouter, Depends, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrarium.api import paging
from terrarium.api.body import body_of, described
from terrarium.api.errors import FieldError, InvalidFields, field_error
from terrarium.api.inputs import Choice, check_inputs
from terrarium.api.job_body import config_of
from terrarium.api.jobs import JobView
from terrarium.api.once import Key, once
from terrarium.api.room import check_room
from terrarium.store import assets, logs, plans
from terrarium.store.db import session_scope
from terrarium.store.errors import Conflict, NotFound
from terrarium.store.tables import Job, Plan
from terrarium.worlds.kinds import CONFIG, MAX_NAME, kinds
from terrarium.worlds.plans import (
    MADE,
    MOST_STEPS,
    BadStep,
    PlayableConfig,
    Step,
    StepName,
    TextureConfig,
    check_references,
    filled,
    playable,
    promise,
    texture,
)

log = logging.getLogger("terrarium.gateway")
router = APIRouter(prefix="/v1", tags=["plans"])
State = Literal["queued", "running", "succeeded", "failed", "quarantined", "cancelling", "cancelled"]
PlanName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, kw_only=True)
class StepBody:
    __pydantic_config__ = CONFIG
    name: StepName
    """What later steps call it by."""
    job: dict[str, Any]
    """As the body of POST /v1/jobs; an input may be `@name` of a step before, which stands for what that will make."""


@dataclass(frozen=True, kw_only=True)
class PlanBody:
    __pydantic_config__ = CONFIG
    name: PlanName = ""
    """If omitted, the steps' names."""
    steps: Annotated[list[StepBody], Len(1, MOST_STEPS)]
    """In an order in which each takes only what earlier ones make."""


@dataclass(frozen=True, kw_only=True)
class ReleaseBody:
    __pydantic_config__ = CONFIG
    step: StepName
    """The step whose gate is closed."""
    why: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
    """The reason, which the next step's model records."""


PLAN, PLAYABLE, TEXTURE = TypeAdapter(PlanBody), TypeAdapter(PlayableConfig), TypeAdapter(TextureConfig)
RELEASE = TypeAdapter(ReleaseBody)


class StepView(BaseModel):
    name: str
    job: JobView = Field(description="the newest, where it was tried again")


class PlanView(BaseModel):
    id: UUID
    name: str
    state: State
    steps: list[StepView] = Field(description="in their order; what a job takes from another is that one's id")
    created_at: datetime

    @classmethod
    def of(cls, plan: Plan, jobs: Sequence[Job]) -> PlanView:
        steps = [StepView(name=str(job.step), job=JobView.of(job)) for job in jobs]
        return cls(id=plan.id, name=plan.name, state=state_of(jobs), steps=steps, created_at=plan.created_at)


class PlanPage(BaseModel):
    items: list[PlanView]
    next_cursor: str | None


@router.post(
    "/plans",
    status_code=201,
    responses={200: {"description": "That key's plan", "model": PlanView}},
    openapi_extra=described(PLAN),
)
def submit(body: Annotated[PlanBody, Depends(body_of(PLAN))], response: Response, key: Key = None) -> PlanView:
    """Queue jobs that follow each other. Each runs as soon as what it takes is made; if one fails or is cancelled,
    those that need it never start. All are checked before any begins."""
    steps = []
    for step in body.steps:
        with _at(step.name):
            steps.append(Step(step.name, config_of(step.job)))
    return _submit(body.name or ", ".join(step.name for step in steps)[:MAX_NAME], steps, response, key)


@router.post(
    "/playable",
    status_code=201,
    responses={200: {"description": "That key's plan", "model": PlanView}},
    openapi_extra=described(PLAYABLE),
)
def make_playable(
    config: Annotated[PlayableConfig, Depends(body_of(PLAYABLE))], response: Response, key: Key = None
) -> PlanView:
    """From words, or from a block world, to a world model that plays in it: generate, record, train."""
    name = config.prompt
    if config.world is not None:
        with session_scope() as session:
            name = f"Play in {assets.get(session, config.world).name}"
    return _submit(name[:MAX_NAME], playable(config), response, key)


@router.post(
    "/texture",
    status_code=201,
    responses={200: {"description": "That key's plan", "model": PlanView}},
    openapi_extra=described(TEXTURE),
)
def train_texture(
    config: Annotated[TextureConfig, Depends(body_of(TEXTURE))], response: Response, key: Key = None
) -> PlanView:
    """The staged texture plan: a job a phase, each from the best of the one before. A closed gate ends it."""
    return _submit(f"Texture plan, {config.preset}", texture(config), response, key)


@router.get("/plans")
def list_plans(limit: paging.Limit = 50, cursor: paging.Cursor = None) -> PlanPage:
    """Newest first."""
    with session_scope() as session:
        rows, next_cursor = paging.page(session, Plan, select(Plan), limit, cursor)
        jobs = plans.newest(session, rows)
        return PlanPage(items=[PlanView.of(plan, jobs[plan.id]) for plan in rows], next_cursor=next_cursor)


@router.get("/plans/{id}")
def get_plan(id: UUID) -> PlanView:
    with session_scope() as session:
        return _view(session, _existing(session, id))


@router.post("/plans/{id}/cancel", status_code=202)
def cancel(id: UUID) -> PlanView:
    """Ask every job of the plan to end that has not. Safe to repeat."""
    with session_scope() as session:
        plan = _existing(session, id)
        plans.cancel(session, plan)
        return _view(session, plan)


@router.post("/plans/{id}/release", status_code=202, openapi_extra=described(RELEASE))
def release(id: UUID, body: Annotated[ReleaseBody, Depends(body_of(RELEASE))]) -> PlanView:
    """Go on although a step's gate is closed: what it stopped is tried again, with the steps after that."""
    with session_scope() as session:
        plan = _existing(session, id)
        step = next((job for job in plans.newest(session, [plan])[id] if job.step == body.step), None)
        gate = ((step.result if step else None) or {}).get("gate", {"open": True})
        if step is None or gate["open"]:
            raise Conflict(f"step {body.step} of this plan has no closed gate", code="gate_not_closed")
        stopped = [job for job in plans.stopped_by(session, plan, step) if "release" in job.config]
        if not stopped:
            raise Conflict(f"no step has been stopped by the gate of {body.step}", code="gate_not_closed")
        for job in stopped:
            check_room(session, job.config)
            plans.retry(session, job, release=body.why)
        return _view(session, plan)


def state_of(jobs: Sequence[Job]) -> State:
    """Of a plan, from its steps'."""
    states = {job.state for job in jobs}
    ended: tuple[State, ...] = ("failed", "quarantined", "cancelling", "cancelled")
    if states == {"succeeded"}:
        return "succeeded"
    if states <= {"waiting", "queued"}:
        return "queued"
    return next((state for state in ended if state in states), "running")


def _submit(name: str, steps: Sequence[Step], response: Response, key: str | None) -> PlanView:
    body = {"name": name, "steps": [[step.name, json.loads(json.dumps(asdict(step.config)))] for step in steps]}

    def make(session: Session) -> Job:
        _check(session, steps)
        ids = plans.new_ids([step.name for step in steps])
        made = {step: str(id) for step, id in ids.items()}
        new = []
        for step in steps:
            config = json.loads(json.dumps(asdict(filled(step.config, made))))
            job_name = f"{name[: MAX_NAME - len(step.name) - 2]}, {step.name}"
            new.append(plans.NewStep(step.name, config, kinds()[step.config.kind].queue, job_name))
        check_room(session, *(step.config for step in new))
        plans.submit(session, name, new, ids)
        for step_name, id in ids.items():
            with logs.about(job=id):
                log.info("job %s: submitted, step %s of %r", id, step_name, name)
        return session.get_one(Job, ids[steps[0].name])

    def show(session: Session, job: Job) -> PlanView:
        return _view(session, session.get_one(Plan, job.plan_id))

    view, is_new = once(key, body, make, show)
    if is_new:
        response.headers["Location"] = f"/v1/plans/{view.id}"
    else:
        response.status_code = 200
    return view


def _check(session: Session, steps: Sequence[Step]) -> None:
    """A 422 whose errors name the step: those of its own body, as POST /v1/jobs would, and of what steps pass on."""
    try:
        check_references(steps)
    except BadStep as e:
        raise InvalidFields([FieldError(loc=["body", "steps", e.step, e.field], msg=e.reason, value=None)]) from None
    made: dict[str, Choice] = {}
    now = datetime.now(UTC)
    for step in steps:
        with _at(step.name):
            manifests = check_inputs(session, step.config, made)
        id, what = f"{MADE}{step.name}", promise(step.config, manifests)
        made[id] = Choice(id=id, type=what.type, name=id, created_at=now, manifest=what.manifest)


@contextmanager
def _at(step: str) -> Iterator[None]:
    """Errors of the body of a job become those of this step."""
    try:
        yield
    except RequestValidationError as e:
        raise _within(step, [field_error(error) for error in e.errors()], None) from None
    except InvalidFields as e:
        raise _within(step, e.errors, e.code) from None


def _within(step: str, errors: Sequence[FieldError], code: str | None) -> InvalidFields:
    return InvalidFields([e.model_copy(update={"loc": ["body", "steps", step, *e.loc[1:]]}) for e in errors], code=code)


def _view(session: Session, plan: Plan) -> PlanView:
    return PlanView.of(plan, plans.newest(session, [plan])[plan.id])


def _existing(session: Session, id: UUID) -> Plan:
    plan = session.get(Plan, id)
    if plan is None:
        raise NotFound(f"there is no plan {id}", code="plan_not_found")
    return plan
