"""A runner's lines become rows: events, metrics, artifacts, training states, all under the fence."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from terrarium.store import artifacts, disk, jobs, shared
from terrarium.store.db import session_scope
from terrarium.store.events import Event
from terrarium.store.tables import Artifact, Metric, TrainingState
from terrarium.workers.run_folder import share_state

Message = dict[str, Any]


class Recorder:
    """Writes what one run of a job says. Raises LeaseLost when the job is no longer ours."""

    def __init__(self, job_id: UUID, fence: int, run_dir: Path) -> None:
        self.job_id, self.fence, self.run_dir = job_id, fence, run_dir
        self.pending: list[Message] = []
        self._sharing: list[tuple[Future[Message | None], Message]] = []  # states on their way to other machines
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="states")

    def add(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message["type"] == "checkpoint" and shared.active():
                self._sharing.append((self._sender.submit(self._share, message), message))
            else:
                self.pending.append(self._stored(message) if message["type"] == "file" else message)

    def is_done(self) -> bool:
        """Whether nothing of what was said waits to be written."""
        return not self.pending and not self._sharing

    def flush(self) -> None:
        """What is pending, in its order, in one transaction; it stays pending if the database does not answer."""
        while self._sharing and self._sharing[0][0].done():
            sent, checkpoint = self._sharing.pop(0)
            problem = sent.result()
            self.pending += [checkpoint] if problem is None else [problem, checkpoint]
        if not self.pending:
            return
        messages = _thin(self.pending)
        progress = [m for m in messages if m["type"] == "progress"]
        with session_scope() as session:
            # First the events: they lock the job's row and check the fence for all that follows.
            newest = _fields(progress[-1]) if progress else None
            events = [_event(m) for m in messages if m["type"] != "artifact"]
            jobs.record(session, self.job_id, self.fence, events, newest)
            for message in messages:
                self._write_rows(session, message)
        self.pending.clear()

    def _stored(self, message: Message) -> Message:
        """A file whose bytes are in the artifact store, or a line of log that says why not."""
        path, name, role = self._inside(message["path"]), message["name"], message["role"]
        media_type = artifacts.media_type(path.name)
        try:
            size = path.stat().st_size
            if size > artifacts.MAX_BYTES:
                path.unlink()
                most = disk.human(artifacts.MAX_BYTES)
                return _line(f"file {name!r} is left out: it has {disk.human(size)}, expected at most {most}")
            if role == "preview" and not media_type.startswith("image/"):
                return _line(f"preview {name!r} is left out: {path.suffix or 'no extension'}, expected a picture")
            data = path.read_bytes()
            path.unlink()
            artifact = artifacts.put(self.job_id, name, media_type, data, message["caption"], role)
        except OSError as e:  # a full disk; or the run was taken away, and its folder with it
            return _line(f"file {name!r} is lost: {e}")
        return {"type": "file", "artifact": artifact}

    def _share(self, checkpoint: Message) -> Message | None:
        """The state where a run on another machine would look for it; a line of log if it does not get there. This
        machine can go on from it all the same."""
        state = self._inside(checkpoint["path"])
        try:
            share_state(self.job_id, self.run_dir, state)
        except OSError as e:
            if not state.is_dir():  # a newer one has replaced it
                return None
            return _line(f"the state of step {checkpoint['step']} stays on this machine: {e.strerror or e}")
        return None

    def _write_rows(self, session: Session, message: Message) -> None:
        match message["type"]:
            case "file" | "artifact":
                session.merge(message["artifact"])  # not add: this may be the second attempt
            case "metrics":
                self._upsert_metrics(session, message["step"], message["values"])
            case "checkpoint":
                self._commit_state(session, message["step"], self._inside(message["path"]))
            case "resumed":
                for table in (Metric, TrainingState):
                    past = (table.job_id == self.job_id, table.step > message["step"])
                    session.execute(delete(table).where(*past))

    def _upsert_metrics(self, session: Session, step: int, values: dict[str, float | None]) -> None:
        rows = [
            {"job_id": self.job_id, "key": key, "step": step, "value": value}
            for key, value in values.items()
            if value is not None  # NaN is in the event; a curve has a gap there
        ]
        if rows:
            new = insert(Metric).values(rows)
            keys = ["job_id", "key", "step"]
            again = {"value": new.excluded.value, "created_at": new.excluded.created_at}
            session.execute(new.on_conflict_do_update(index_elements=keys, set_=again))

    def _commit_state(self, session: Session, step: int, path: Path) -> None:
        """The row is the commit: only a state that has one is resumed from."""
        values = {"path": str(path.relative_to(self.run_dir)), "fence": self.fence}
        new = insert(TrainingState).values(job_id=self.job_id, step=step, **values)
        session.execute(new.on_conflict_do_update(index_elements=["job_id", "step"], set_=values))

    def _inside(self, path: str) -> Path:
        """The path, which must lie in the job's run folder."""
        resolved = Path(path).resolve()
        if not resolved.is_relative_to(self.run_dir):
            raise ValueError(f"the runner named {path}, which is not under {self.run_dir}")
        return resolved


def _event(message: Message) -> Event:
    match message["type"]:
        case "file":
            artifact: Artifact = message["artifact"]
            told = ("name", "media_type", "caption", "role", "size", "sha256")
            return Event("file", {"id": str(artifact.id)} | {name: getattr(artifact, name) for name in told})
        case "checkpoint":
            return Event("checkpoint", {"step": message["step"]})
        case kind:
            return Event(kind, _fields(message))


def _line(text: str) -> Message:
    return {"type": "log", "line": text}


def _fields(message: Message) -> dict[str, Any]:
    return {k: v for k, v in message.items() if k != "type"}


def _thin(messages: Sequence[Message]) -> list[Message]:
    """Without the progress that a later line of the same batch overtakes."""
    last = max((i for i, m in enumerate(messages) if m["type"] == "progress"), default=-1)
    return [m for i, m in enumerate(messages) if m["type"] != "progress" or i == last]
