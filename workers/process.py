"""A runner process as the supervisor sees it: lines out of it, lines into it, and its end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from terrarium.workers.memory import children_of

log = logging.getLogger("terrarium.worker")
RUNNER: Sequence[str] = (sys.executable, "-m", "terrarium.workers.runner")
# A recipe gets no access to database or broker.
SECRETS = ("DATABASE_URL", "TERRARIUM_DATABASE_URL", "PGPASSWORD", "REDIS_URL", "TERRARIUM_REDIS_URL")


class RunnerProcess:
    """Starts in its own session, so that Ctrl-C does not reach it and its whole group can be killed.

    The runner asks the kernel to die with the *thread* that starts it: that must be the one that waits for it.
    """

    def __init__(self, log_path: Path, processes: int = 1) -> None:
        self.processes = processes
        env = {k: v for k, v in os.environ.items() if k not in SECRETS}
        with log_path.open("ab") as stderr:
            self.popen = subprocess.Popen(
                RUNNER if processes == 1 else (*RUNNER, str(processes)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=env | {"PYTHONUNBUFFERED": "1", "SUPERVISOR_PID": str(os.getpid())},
                start_new_session=True,
            )
        assert self.popen.stdin is not None and self.popen.stdout is not None
        self.stdin = self.popen.stdin
        self.lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.reader = threading.Thread(target=_read, args=(self.popen.stdout, self.lines), daemon=True)
        self.reader.start()

    def tell(self, line: str) -> None:
        """One line to the runner, which may be gone already."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(line.encode() + b"\n")
            self.stdin.flush()

    def silent(self) -> bool:
        """True once it is dead and all that it said was taken from `lines`."""
        if not self.ended():
            return False
        self.kill()  # children that it forked may hold its end of the pipe
        return not self.reader.is_alive() and self.lines.empty()

    def ended(self) -> bool:
        """True once it is dead. It stays a zombie until `reap`, so that its group cannot become another's."""
        try:
            return os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody has collected it meanwhile
            return True

    def kill(self) -> None:
        """SIGKILL to its whole group, which frees what it holds of a GPU. What torchrun has started has groups of its
        own and dies with it. Only before `reap`."""
        if self.popen.returncode is None:  # else the number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)

    def dump_stacks(self, log_path: Path, patience_s: float = 3.0) -> None:
        """Asks for its threads' stacks in its log (workers/runner.py) and waits until they are there.

        A process that cannot run, stopped or deep in the kernel, writes none.
        """
        if self.ended():
            return
        sizes = [log_path.stat().st_size]
        pid = self.popen.pid
        for one in [pid] if self.processes == 1 else children_of(pid):
            os.kill(one, signal.SIGUSR1)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and (sizes[-1] == sizes[0] or sizes[-1] != sizes[-2]):
            time.sleep(0.1)
            sizes.append(log_path.stat().st_size)

    def reap(self, patience_s: float) -> None:
        """Gives it time to end by itself, kills what is left of its group, and collects its exit code."""
        deadline = time.monotonic() + patience_s
        while not self.ended() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.kill()
        self.popen.wait()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    @property
    def exit_code(self) -> int | None:
        return self.popen.returncode

    @property
    def signal_name(self) -> str | None:
        code = self.popen.returncode
        return signal.Signals(-code).name if code is not None and code < 0 else None


def _read(stdout: IO[bytes], lines: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Until the runner closes its end. A line that is no message (none should be) is logged and dropped."""
    with stdout:
        for line in stdout:
            try:
                message = json.loads(line)
                message["type"]
            except (ValueError, TypeError, KeyError):
                log.warning("the runner said %r", line[:200])
            else:
                lines.put(message)
