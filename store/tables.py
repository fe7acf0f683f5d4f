"""The tables. Postgres owns the truth; every state change is one conditional UPDATE plus an event row.

Job states (the edges live in store/moves.py):
    waiting -> queued | cancelled
    queued -> running | cancelled
    running -> succeeded | failed | cancelling | retry_wait | queued (drain, lease lost) | quarantined
    retry_wait -> queued | cancelled
    cancelling -> cancelled | succeeded (the commit won) | failed
    quarantined -> queued
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, String, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: JSONB(none_as_null=True),
        list[str]: ARRAY(String),
        list[UUID]: ARRAY(Uuid),
        datetime: TIMESTAMP(timezone=True),
        int: BigInteger,
    }


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.clock_timestamp())


class Plan(Base):
    """Jobs that follow each other, one a step; one that is tried again is another job of its step."""

    __tablename__ = "plans"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    steps: Mapped[list[str]]  # in their order
    told_at: Mapped[datetime | None]  # when webhooks were told of its end
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        Index("plans_by_age", "created_at", "id"),
        Index("plans_untold", "id", postgresql_where=text("told_at IS NULL")),
    )


class Job(Base):
    """What the user asked for. `fence` grows with every claim; a write with an old fence changes nothing."""

    __tablename__ = "jobs"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(default="", server_default="")  # a person's, or made of kind, inputs and preset
    config: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(default="queued")
    queue: Mapped[str]  # Celery queue: gpu.train, gpu.generate or cpu
    priority: Mapped[int] = mapped_column(default=0, server_default="0")  # -10 to 10; the higher starts first
    processes: Mapped[int] = mapped_column(default=1, server_default="1")  # that share its training, a GPU each
    after: Mapped[list[UUID]] = mapped_column(default=list, server_default="{}")  # jobs that must succeed before it
    fence: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)  # charged attempts: a drained or lost one is given back
    lost: Mapped[int] = mapped_column(default=0)  # attempts whose worker or runner vanished; 3: quarantined
    lease_until: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]  # retry_wait: when it goes back to queued
    queued_at: Mapped[datetime] = _now()  # long ago and in no Celery queue: its message was lost
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))  # retry of, or follows
    plan_id: Mapped[UUID | None] = mapped_column(ForeignKey("plans.id", ondelete="SET NULL"), index=True)
    step: Mapped[str | None]  # of the plan
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {step, total, phase, eta_s}
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]  # {code, message}
    last_seq: Mapped[int] = mapped_column(default=0)  # newest job_events.seq
    created_at: Mapped[datetime] = _now()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    __table_args__ = (  # lists: newest first, of a state, a kind or a parent
        Index("jobs_by_age", "created_at", "id"),
        Index("jobs_by_state", "state", "created_at", "id"),
        Index("jobs_by_kind", "kind", "created_at", "id"),
        Index("jobs_by_parent", "parent_id", "created_at", "id"),
        Index(
            "jobs_in_line",
            "queue",
            text("priority DESC"),
            "created_at",
            "id",
            postgresql_where=text("state = 'queued'"),
        ),
        Index("jobs_after", "after", postgresql_using="gin", postgresql_where=text("state = 'waiting'")),
    )


class QueuePause(Base):
    """Of a queue whose jobs no worker takes until somebody resumes it: then the row goes."""

    __tablename__ = "queue_pauses"
    queue: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime] = _now()


class Worker(Base):
    """A worker as it last described itself (workers/presence.py)."""

    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    queues: Mapped[list[str]]
    processes: Mapped[int] = mapped_column(default=1, server_default="1")  # the most that a job may have there
    memory_bytes: Mapped[int | None]  # resident, of the worker and its runner; None where the system does not tell
    disk_free_bytes: Mapped[int | None]  # of its data directory
    started_at: Mapped[datetime] = _now()
    seen_at: Mapped[datetime] = _now()


class Run(Base):
    """One attempt at a job."""

    __tablename__ = "runs"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    fence: Mapped[int]
    worker: Mapped[str]
    state: Mapped[str] = mapped_column(default="running")  # or succeeded, failed, cancelled, drained, lost
    exit_code: Mapped[int | None]
    evidence: Mapped[dict[str, Any] | None]  # {signal, log_tail}
    started_at: Mapped[datetime] = _now()
    finished_at: Mapped[datetime | None]


class Outbox(Base):
    """Job ids still to be published to Celery; written in the transaction that queues the job."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = _now()


class JobEvent(Base):
    """Gapless a job: seq 1, 2, 3, ... Types: state, progress, metrics, file, checkpoint, resumed, log. Long after
    its end those go that are kept elsewhere (workers/retention.py)."""

    __tablename__ = "job_events"
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = _now()


class Metric(Base):
    __tablename__ = "metrics"
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float]
    created_at: Mapped[datetime | None] = mapped_column(server_default=func.clock_timestamp())


class TrainingState(Base):
    """A resumable state on disk. The row is the commit: a folder without its row is swept before a resume."""

    __tablename__ = "training_states"
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str]  # relative to the job's run folder
    fence: Mapped[int]
    created_at: Mapped[datetime] = _now()


class Asset(Base):
    """Something that a job made or a person brought: a dataset, a tokenizer, a world model ... Its files lie where
    store/places.py says. A deleted asset keeps its row, for the lineage of what was made of it."""

    __tablename__ = "assets"
    id: Mapped[str] = mapped_column(primary_key=True)  # the making job's id as text, or `shipped`
    type: Mapped[str]  # what JobKind.makes says
    name: Mapped[str]
    notes: Mapped[str] = mapped_column(default="", server_default="")
    tags: Mapped[list[str]] = mapped_column(default=list, server_default="{}")
    manifest: Mapped[dict[str, Any]]
    evaluation: Mapped[dict[str, Any] | None]
    made_by: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    made_from: Mapped[list[str]] = mapped_column(default=list, server_default="{}")  # ids of assets
    size: Mapped[int | None]  # bytes on disk; None: not counted yet
    created_at: Mapped[datetime] = _now()
    deleted_at: Mapped[datetime | None]
    __table_args__ = (
        Index("assets_by_age", "created_at", "id"),
        Index("assets_made_from", "made_from", postgresql_using="gin"),
    )


class Artifact(Base):
    """Bytes in the artifact store, found by an opaque id; `name` is shown, never used as a path.

    Bytes never change under an id: a later preview of the same name is another artifact.
    """

    __tablename__ = "artifacts"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    media_type: Mapped[str]
    caption: Mapped[str] = mapped_column(default="", server_default="")
    role: Mapped[str] = mapped_column(default="result", server_default="result")  # or preview, log
    size: Mapped[int]
    sha256: Mapped[str]
    created_at: Mapped[datetime] = _now()


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = _now()


class ApiKey(Base):
    """What lets somebody in: its text is known to its owner alone (store/keys.py)."""

    __tablename__ = "api_keys"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(index=True)  # of its text, to be told apart by
    sha256: Mapped[str]
    scopes: Mapped[list[str]]  # of store/keys.py
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]  # to the minute
    revoked_at: Mapped[datetime | None]


class Webhook(Base):
    """Who is told of events (store/webhooks.py). Its secrets sign, so they are kept as they are."""

    __tablename__ = "webhooks"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]]
    secret: Mapped[str]
    old_secret: Mapped[str | None]
    old_secret_until: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]  # its first failure since something was delivered
    disabled_at: Mapped[datetime | None]
    disabled_because: Mapped[str | None]
    created_at: Mapped[datetime] = _now()


class WebhookDelivery(Base):
    """One event for one webhook: the outbox of the courier, and what became of it."""

    __tablename__ = "webhook_deliveries"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str]
    body: Mapped[str]  # JSON, as it is signed and sent
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    due_at: Mapped[datetime | None] = mapped_column(server_default=func.clock_timestamp())  # None: it is over
    delivered_at: Mapped[datetime | None]
    error: Mapped[str | None]  # of the newest attempt
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        Index("deliveries_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("deliveries_by_age", "webhook_id", "created_at", "id"),
    )


class PlaySession(Base):
    """A live session's record and its one-use ticket (stored as a hash, good for 30 s)."""

    __tablename__ = "play_sessions"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    checkpoint: Mapped[str] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    seed: Mapped[int]
    world: Mapped[str | None] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))  # None: the model's own
    key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="SET NULL"))  # whose key opened it
    ticket_sha256: Mapped[str | None]  # NULL once used
    created_at: Mapped[datetime] = _now()
    ended_at: Mapped[datetime | None]
