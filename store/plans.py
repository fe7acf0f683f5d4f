"""Plans: jobs that follow each other. The caller's transaction throughout.

All jobs of a plan are made when it is submitted. What a step takes from another is in its config by that job's id,
which will be that of the asset: lineage and inputs are those of any job. The same ids are the job's `after`, by which
store/moves.py hands over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from terrarium.store import jobs, moves
from terrarium.store.tables import Job, Plan


@dataclass(frozen=True)
class NewStep:
    """`config` has, in place of each step that it takes something from, the id in `Draft.ids`."""

    name: str
    config: dict[str, Any]
    queue: str
    job_name: str


def new_ids(steps: Sequence[str]) -> dict[str, UUID]:
    """{step: id of its job to be}."""
    return {step: uuid4() for step in steps}


def submit(session: Session, name: str, steps: Sequence[NewStep], ids: Mapping[str, UUID]) -> Plan:
    """Every step's job: queued where it takes nothing from another, else waiting."""
    plan = Plan(id=uuid4(), name=name, steps=[step.name for step in steps])
    session.add(plan)
    session.flush()
    session.refresh(plan)
    for step in steps:
        named = _texts_in(step.config)
        jobs.submit(
            session,
            step.config,
            step.queue,
            name=step.job_name,
            after=[id for id in ids.values() if str(id) in named],
            id=ids[step.name],
            plan_id=plan.id,
            step=step.name,
        )
    return plan


def newest(session: Session, plans: Sequence[Plan]) -> dict[UUID, list[Job]]:
    """{plan id: the newest job of each of its steps, in their order}."""
    statement = select(Job).where(Job.plan_id.in_([plan.id for plan in plans]))
    statement = statement.ext(distinct_on(Job.plan_id, Job.step))
    rows = session.scalars(statement.order_by(Job.plan_id, Job.step, Job.created_at.desc())).all()
    return {
        plan.id: sorted(
            (job for job in rows if job.plan_id == plan.id), key=lambda job: plan.steps.index(str(job.step))
        )
        for plan in plans
    }


def cancel(session: Session, plan: Plan) -> None:
    """Asks every job of the plan to stop that has not ended. Those at work are locked first, in their order, so that
    none ends, and moves those that wait, while we do."""
    unended = select(Job.id).where(Job.plan_id == plan.id, Job.state.not_in(moves.TERMINAL))
    unended = unended.order_by(Job.created_at, Job.id)
    session.execute(unended.where(Job.state != "waiting").with_for_update())
    for id in session.scalars(unended).all():
        jobs.cancel(session, id)


def stopped_by(session: Session, plan: Plan, made: Job) -> list[Job]:
    """The newest jobs of the steps that take what `made` makes and have ended without success."""
    jobs_now = newest(session, [plan])[plan.id]
    ended = [job for job in jobs_now if job.state in moves.AT_REST and job.state != "succeeded"]
    return [job for job in ended if made.id in job.after]


def retry(session: Session, job: Job, **changed: Any) -> Job:
    """Tries a job of a plan again, with fields of its config `changed`, and with it the steps that need what it makes:
    new jobs, which take what the new one will make. Those that still wait for the old one are cancelled."""
    plan = session.get_one(Plan, job.plan_id)
    plan.told_at = None  # its end is another
    before = newest(session, [plan])[plan.id]
    first = jobs.submit(session, job.config | changed, job.queue, job.id, job.name, **_place(job))
    again = {str(one.id): first for one in (job, *before) if one.step == job.step}
    for one in before:
        if not again.keys().isdisjoint(map(str, one.after)):
            if one.state == "waiting":
                jobs.cancel(session, one.id)
            config = {field: _replaced(value, again) for field, value in one.config.items()}
            after = [again[str(id)].id if str(id) in again else id for id in one.after]
            again[str(one.id)] = jobs.submit(
                session, config, one.queue, one.id, one.name, after=after, priority=one.priority, **_place(one)
            )
    return first


def _texts_in(config: dict[str, Any]) -> set[str]:
    """Every text in its fields: the ids of what the job takes are among them, and occur nowhere else."""
    values = [one for value in config.values() for one in (value if isinstance(value, list) else [value])]
    return {value for value in values if isinstance(value, str)}


def _place(job: Job) -> dict[str, Any]:
    return {"plan_id": job.plan_id, "step": job.step}


def _replaced(value: Any, again: Mapping[str, Job]) -> Any:
    if isinstance(value, list):
        return [_replaced(one, again) for one in value]
    return str(again[value].id) if isinstance(value, str) and value in again else value
