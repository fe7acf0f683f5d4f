"""Watches one runner: records what it reports, renews the lease, passes on cancel and drain, names how it ended.

    result            -> succeeded          error             -> failed, at once
    stopped           -> cancelled, or queued again where this worker drains
    killed, vanished  -> queued again (also one of several processes); the third time quarantined
    silent for long   -> hung: killed, tried again later; the third time failed
    on a full disk    -> failed as disk_full, and what it had made is removed
    lease not renewed -> the runner is killed before the lease ends, and nothing more is written

One loop does everything; a thread reads the runner's lines, another guards the lease. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from terrarium.store import artifacts, disk, jobs
from terrarium.store.db import session_scope
from terrarium.store.jobs import LeaseLost
from terrarium.store.jsonb import clean
from terrarium.store.settings import settings
from terrarium.store.tables import Job
from terrarium.workers import outputs
from terrarium.workers.log_tail import LogTail
from terrarium.workers.process import RunnerProcess
from terrarium.workers.recorder import Message, Recorder
from terrarium.workers.retention import clean_after_run
from terrarium.workers.run_folder import fetch_states, folder_of, make_room, take_over

log = logging.getLogger("terrarium.worker")
T = TypeVar("T")
CANCEL_GRACE_S = 10.0
DRAIN_GRACE_S = 15.0
LOOK_EVERY_S = 0.5  # at the job's state, for a cancel
LISTEN_S = 0.2
STACK_LINES = 80  # of the log, as evidence of where a runner hung
ENDS = ("result", "error", "stopped")
DATABASE_DOWN = (OperationalError, InterfaceError, InternalError, PoolTimeout)  # internal: we stood still too long


class Supervisor:
    """One run of a claimed job."""

    def __init__(self, job: Job, drain: threading.Event) -> None:
        self.job, self.drain = job, drain
        self.run_dir = folder_of(job)
        self.recorder = Recorder(job.id, job.fence, self.run_dir)
        self.log_tail = LogTail(self.run_dir / "runner.log")
        self.process: RunnerProcess | None = None
        self.end: Message | None = None  # the runner's last word
        self.killed_for = ""  # cancel, drain, lease or silence
        self.at: Message | None = None  # the newest progress
        self.cancelling = False
        self.stop_sent_at: float | None = None
        self.log_kept = False
        now = time.monotonic()
        self.lease_ends, self.heartbeat_at = now + settings().lease_s, now + settings().heartbeat_s
        self.look_at = self.heard_at = now

    def run(self) -> None:
        """From start to a settled job. Raises LeaseLost where the job was taken away."""
        try:
            spec = self._patiently("is not prepared yet", self._prepare)
        except ValueError as e:
            self.end = {"type": "error", "code": "invalid_input", "message": str(e)}
        except OSError as e:
            self.end = _no_room(e)
        else:
            self._run_process(spec)
        self._settle()
        with contextlib.suppress(*DATABASE_DOWN, OSError):
            clean_after_run()

    def _prepare(self) -> dict[str, Any]:
        """Its folder, made of what earlier runs have left -> what the runner is told. Harmless to repeat."""
        self._renewing(lambda: fetch_states(self.job))
        take_over(self.job)
        self.log_tail = LogTail(self.log_tail.path)  # what earlier runs have written is known
        return self._renewing(self._spec)

    def _spec(self) -> dict[str, Any]:
        inputs = outputs.input_folders(self.job.config)
        return {"kind": self.job.kind, "config": self.job.config, "inputs": inputs, "out_dir": str(self.run_dir)}

    def _patiently(self, how_far: str, work: Callable[[], T]) -> T:
        """What `work` returns, tried again while the database does not answer and the lease lasts; then LeaseLost."""
        while True:
            try:
                return work()
            except DATABASE_DOWN as e:
                log.warning("job %s %s: %s", self.job.id, how_far, e)
                if time.monotonic() > self.lease_ends:
                    raise LeaseLost(str(self.job.id)) from e
                time.sleep(1.0)

    def _renewing(self, work: Callable[[], T]) -> T:
        """What `work` returns, which may take longer than a lease: files come and go. LeaseLost where it is lost."""
        with ThreadPoolExecutor(1) as thread:
            future = thread.submit(work)
            while not future.done():
                wait([future], LISTEN_S)
                try:
                    if time.monotonic() >= self.heartbeat_at:
                        self._heartbeat()
                except DATABASE_DOWN as e:
                    log.warning("job %s: the database does not answer: %s", self.job.id, e)
                    if time.monotonic() > self.lease_ends:
                        raise LeaseLost(str(self.job.id)) from e
            return future.result()

    def _heartbeat(self) -> None:
        """Renews the lease, and sees whether a cancel was asked for. Raises LeaseLost."""
        now = time.monotonic()
        with session_scope() as session:
            state = jobs.heartbeat(session, self.job.id, self.job.fence, settings().lease_s)
        self.lease_ends, self.heartbeat_at = now + settings().lease_s, now + settings().heartbeat_s
        self.cancelling = state == "cancelling"

    def _run_process(self, spec: dict[str, Any]) -> None:
        self.process = process = RunnerProcess(self.log_tail.path, self.job.processes)
        over = threading.Event()
        guard = threading.Thread(target=self._guard_lease, args=(process, over), daemon=True)
        guard.start()
        try:
            process.tell(json.dumps(spec))
            self._watch(process)
        finally:
            over.set()
            guard.join()
            process.reap(patience_s=5.0 if self.end else 0.0)

    def _guard_lease(self, process: RunnerProcess, over: threading.Event) -> None:
        """Kills the runner before its lease ends unrenewed, even while the loop hangs on a dead connection."""
        margin_s = settings().heartbeat_s / 2
        while not over.wait(max(0.05, self.lease_ends - margin_s - time.monotonic())):
            if time.monotonic() > self.lease_ends - margin_s:
                self._kill(process, "lease")

    def _kill(self, process: RunnerProcess, what_for: str) -> None:
        self.killed_for = what_for
        process.kill()

    # ---- the loop

    def _watch(self, process: RunnerProcess) -> None:
        """Until the runner is gone and all that it said is written; LeaseLost if the lease is gone first."""
        while True:
            over = self._listen(process)
            self._reach_database(process)
            if self.killed_for == "lease":
                raise LeaseLost(str(self.job.id))
            if over and self.recorder.is_done():
                return
            self._pass_on_stop(process)
            self._end_silence(process)

    def _listen(self, process: RunnerProcess) -> bool:
        """Takes what the runner says within `LISTEN_S`. True where nothing more can come."""
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            messages.append(process.lines.get(timeout=LISTEN_S))
            while True:
                messages.append(process.lines.get_nowait())
        messages = [clean(m) for m in messages]
        if messages:
            self.heard_at = time.monotonic()
        ends = [m for m in messages if m["type"] in ENDS]
        self.end = ends[-1] if ends else self.end
        self.at = next((m for m in reversed(messages) if m["type"] == "progress"), self.at)
        self.recorder.add([m for m in messages if m["type"] not in ENDS])
        self.recorder.add([{"type": "log", "line": line} for line in self.log_tail.new_lines()])
        return self.end is not None or process.silent()

    def _reach_database(self, process: RunnerProcess) -> None:
        """Writes, renews, looks. Without the database the runner goes on for as long as the lease allows."""
        now = time.monotonic()
        try:
            self.recorder.flush()
            if now >= self.heartbeat_at:
                self._heartbeat()
            elif now >= self.look_at:
                with session_scope() as session:
                    self.cancelling = jobs.held_state(session, self.job.id, self.job.fence) == "cancelling"
            else:
                return
            self.look_at = now + LOOK_EVERY_S
        except LeaseLost:
            self._kill(process, "lease")
        except DATABASE_DOWN as e:
            log.warning("job %s: the database does not answer: %s", self.job.id, e)
            time.sleep(LISTEN_S)

    def _pass_on_stop(self, process: RunnerProcess) -> None:
        """`stop` once, for a cancel or a drain; SIGKILL where it is not obeyed."""
        if not (self.cancelling or self.drain.is_set()) or self.end is not None:
            return
        now = time.monotonic()
        if self.stop_sent_at is None:
            self.stop_sent_at = now
            process.tell("stop")
        if now - self.stop_sent_at > (CANCEL_GRACE_S if self.cancelling else DRAIN_GRACE_S):
            self._kill(process, "cancel" if self.cancelling else "drain")

    def _end_silence(self, process: RunnerProcess) -> None:
        """A runner that reports nothing any more is hung: its stacks go to its log, then it is killed."""
        stopping = self.end is not None or self.stop_sent_at is not None
        if self.killed_for or stopping or time.monotonic() - self.heard_at < settings().silence_s:
            return
        process.dump_stacks(self.log_tail.path)
        self._kill(process, "silence")

    # ---- the end

    def _settle(self) -> None:
        """Writes the job's end; tries again while the database does not answer and the lease lasts."""
        if self.end is None and not self.killed_for and disk.is_full(self.run_dir):
            self.end = {"type": "error", "code": "disk_full", "message": self._reason()}
        while True:
            try:
                self._patiently("has ended, which is not written yet", self._write_end)
                log.info("job %s: run %d is over: %s", self.job.id, self.job.fence, self._reason())
                return
            except OSError as e:
                if self.end is None or self.end["type"] != "result":
                    raise
                self.end = _no_room(e)

    def _write_end(self) -> None:
        id, fence = self.job.id, self.job.fence
        asked = self.end is not None or self.killed_for != ""  # else it went by itself
        match self.end:
            case {"type": "result", "result": result}:
                self._keep_log()
                staged = self._renewing(lambda: outputs.stage(self.job, self.run_dir))
                outputs.commit(self.job, result, self.run_dir, staged)
            case {"type": "error"}:
                make_room(self.run_dir)  # also for the rows
                self._keep_log()
                error = self._error()
                with session_scope() as session:
                    jobs.fail(session, id, fence, error, self._evidence())
            case _ if self.killed_for == "silence":
                self._keep_log()
                with session_scope() as session:
                    jobs.retry_later(session, id, fence, self._hung(), self._evidence())
            case _ if asked and self.cancelling:
                self._keep_log()
                with session_scope() as session:
                    jobs.cancelled(session, id, fence)
            case _ if asked and self.drain.is_set():
                with session_scope() as session:
                    jobs.drained(session, id, fence)
            case _:
                with session_scope() as session:
                    jobs.lose(session, id, fence, self._evidence())

    def _keep_log(self) -> None:
        """The log as an artifact, for gateways that do not see this machine's disk."""
        data = self.log_tail.tail()
        if not data or self.log_kept:
            return
        try:
            artifact = artifacts.put(self.job.id, "runner.log", "text/plain", data, role="log")
        except OSError as e:
            if not disk.says_full(e):
                raise
            log.warning("job %s: its log is lost: %s", self.job.id, e)
            return
        self.recorder.pending = [{"type": "artifact", "artifact": artifact}]
        self.recorder.flush()
        self.log_kept = True

    def _error(self) -> dict[str, Any]:
        assert self.end is not None
        error = {"code": self.end["code"], "message": self.end["message"]}
        if error["code"] == "internal_error":
            error["evidence"] = {"log_tail": self.log_tail.last_lines()}
        if error["code"] == "disk_full":
            error["message"] += f"; {disk.describe(settings().data_dir)}: remove something, then retry the job"
        return error

    def _hung(self) -> dict[str, Any]:
        at = "before its first step"
        if self.at is not None:
            at = f"last at step {self.at['step']} of {self.at['total']} ({self.at['phase'] or 'no phase'})"
        limit = f"for {settings().silence_s:g} s (TERRARIUM_SILENCE_S), {at}"
        message = f"the runner reported nothing {limit}; the log shows where each of its threads was"
        return {"code": "hung", "message": message, "evidence": {"log_tail": self.log_tail.last_lines(STACK_LINES)}}

    def _evidence(self) -> dict[str, Any]:
        return {
            "reason": self._reason(),
            "exit_code": self.process and self.process.exit_code,
            "signal": self.process and self.process.signal_name,
            "log_tail": self.log_tail.last_lines(),
        }

    def _reason(self) -> str:
        if self.end is not None:
            return f"the runner said {self.end['type']}"
        assert self.process is not None
        how = self.process.signal_name or f"exit code {self.process.exit_code}"
        if self.job.processes > 1 and not self.killed_for:
            return f"one of its {self.job.processes} processes was lost, and torchrun ended the others ({how})"
        return f"the runner was ended by {how}" + (f" (our own, for {self.killed_for})" if self.killed_for else "")


def _no_room(e: OSError) -> Message:
    """The end of a run whose files cannot be kept here; raises what is not for want of room."""
    if not disk.says_full(e):
        raise e
    return {"type": "error", "code": "disk_full", "message": str(e)}
