"""One recipe in one process: reads a JSON line (the spec) from stdin, writes JSON lines to stdout.

    SPEC='{"kind": "dataset.record", "config": {...}, "inputs": {}, "out_dir": "run"}'
    echo "$SPEC" | python -m terrarium.workers.runner

The protocol stands in docs/architecture.md. A later line `stop`, or the end of stdin, asks the recipe to save and
end. What libraries print goes to stderr, which the supervisor keeps as runner.log. The process dies with its parent.

With a number as its argument it is torchrun, which starts so many runners: they share the recipe's work and end
together. The first alone speaks; any of them may say what went wrong.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from terrarium.store import disk
from terrarium.store.settings import settings
from terrarium.workers.memory import resident_bytes, runner_limit_bytes
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Progress, RecipeError, Role, Silent, Stopped

PR_SET_PDEATHSIG = 1
NICENESS = 10  # live play on the same machine comes first
SEND_EVERY_S = 0.25
RATE_WINDOW_S = 30.0
LOOK_AT_DISK_S = 0.2
LOOK_AT_MEMORY_S = 1.0  # walks all of /proc
SEVERAL = "TORCHELASTIC_RUN_ID" in os.environ  # torchrun has started this process and others
FIRST = not SEVERAL or os.environ["RANK"] == "0"


class Lines:
    """JSON lines to the supervisor, on a descriptor that no library writes to."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.lock = threading.RLock()
        self.ended = False

    def end(self, type: str, **fields: Any) -> None:
        """The last word: result, stopped or error. The first one counts, whichever thread it comes from."""
        with self.lock:
            if not self.ended:
                self.send(type, **fields)
            self.ended = True

    def send(self, type: str, **fields: Any) -> None:
        line = json.dumps({"type": type, **fields}, default=_plain)
        with self.lock:
            self.stream.write(line + "\n")
            self.stream.flush()


class Rate:
    """Steps a second over the last half minute of a phase; its first step (warm-up, compilation) is left out."""

    def __init__(self) -> None:
        self.samples: deque[tuple[float, int]] = deque()
        self.phase = ""

    def add(self, now: float, step: int, phase: str) -> None:
        if self.samples and (phase != self.phase or step < self.samples[-1][1]):
            self.samples.clear()
        elif self.samples and step == self.samples[-1][1]:
            return  # still at work on the same
        self.phase = phase
        self.samples.append((now, step))
        while len(self.samples) > 2 and now - self.samples[1][0] > RATE_WINDOW_S:
            self.samples.popleft()

    @property
    def per_s(self) -> float | None:
        if len(self.samples) < 2:
            return None
        (t0, s0), (t1, s1) = self.samples[0], self.samples[-1]
        return (s1 - s0) / (t1 - t0) if t1 > t0 and s1 > s0 else None


class Reporter:
    """The recipe's `Progress`, as lines. Progress itself is thinned out; its first and last are always sent."""

    def __init__(self, lines: Lines, out_dir: Path, stop: threading.Event) -> None:
        self.lines, self.out_dir, self.stop = lines, out_dir, stop
        self.rate = Rate()
        self.started = self.sent_at = -math.inf
        self.unsent: dict[str, Any] | None = None
        self.files = 0

    def step(self, step: int, total: int, phase: str = "") -> None:
        now = time.monotonic()
        first = phase != self.rate.phase or not self.rate.samples
        if first and not self.rate.samples:
            self.started = now
        self.rate.add(now, step, phase)
        self.unsent = {"step": step, "total": total, "phase": phase}
        # A long run needs no four lines a second for ever: each of them is a row.
        interval = min(1.0, max(SEND_EVERY_S, (now - self.started) / 1000))
        if first or step >= total or now - self.sent_at >= interval:
            self.flush()

    def flush(self) -> None:
        """Sends the newest progress if it is still unsent."""
        if self.unsent is None:
            return
        rate, left = self.rate.per_s, self.unsent["total"] - self.unsent["step"]
        eta_s = 0.0 if left <= 0 else round(left / rate, 1) if rate else None
        self.lines.send("progress", **self.unsent, eta_s=eta_s, rate=rate and round(rate, 3))
        self.unsent, self.sent_at = None, time.monotonic()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.lines.send("metrics", step=step, values={k: float(v) for k, v in values.items()})

    def preview(self, name: str, path: Path) -> None:
        self._send_file(path, name, "", "preview")

    def file(self, path: Path, caption: str = "", role: Role = "result") -> None:
        self._send_file(path, path.name, caption, role)

    def _send_file(self, path: Path, name: str, caption: str, role: Role) -> None:
        """Sends a copy: the recipe may write the same file again while the first is being read."""
        self.files += 1
        folder = self.out_dir / "files"
        folder.mkdir(exist_ok=True)
        copy = folder / f"{self.files:06d}{path.suffix}"
        shutil.copyfile(path, copy)
        self.lines.send("file", name=name, path=str(copy), caption=caption, role=role)

    def checkpoint(self, step: int, path: Path) -> None:
        self.lines.send("checkpoint", step=step, path=str(path))

    def resumed(self, step: int) -> None:
        self.lines.send("resumed", step=step)

    def stop_requested(self) -> bool:
        return self.stop.is_set()


def run(spec: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The recipe, from spec to result."""
    kind = kinds()[spec["kind"]]
    config = kind.read(spec["config"] | spec["inputs"])  # ids -> folders
    out_dir = Path(spec["out_dir"])
    out_dir.mkdir(parents=True, exist_ok=True)
    kind.load()
    _set_torch_threads()
    if progress.stop_requested():  # asked while torch was being imported
        raise Stopped
    return kind.run(config, out_dir, progress)


def name_error(e: BaseException, out_dir: Path) -> tuple[str, str]:
    """-> (code, message that says what to do about it). Not every library says that the disk is full: it is asked."""
    if isinstance(e, RecipeError):
        return e.code, str(e)
    if isinstance(e, MemoryError) or _is_torch_oom(e):
        return "out_of_memory", f"out of memory ({_first_line(e)}): lower batch, channels or frames"
    if disk.says_full(e) or disk.is_full(out_dir):
        return "disk_full", f"the disk filled up ({type(e).__name__}: {_first_line(e)})"
    if isinstance(e, (ValueError, FileNotFoundError, ValidationError)):
        return "invalid_input", str(e)
    return "internal_error", f"{type(e).__name__}: {_first_line(e)}"


def main() -> int:
    lines = Lines(_take_stdout())
    _begin()
    spec = _shared_spec() if SEVERAL else _read_spec()
    if spec is None:
        return 2
    stop, out_dir = threading.Event(), Path(spec["out_dir"])
    reporter = Reporter(lines, out_dir, stop)
    if FIRST:
        for target, args in ((_listen, (stop,)), (_guard_disk, (lines, out_dir)), (_guard_memory, (lines,))):
            threading.Thread(target=target, args=args, daemon=True).start()
    try:
        result = run(spec, reporter if FIRST else Silent())
        reporter.flush()
        if FIRST:
            lines.end("result", result=result)
        return 0
    except Stopped:
        reporter.flush()
        if FIRST:
            lines.end("stopped")
        return 0
    except Exception as e:
        code, message = name_error(e, out_dir)  # before anything else is written
        traceback.print_exc()
        if SEVERAL and _lost_another(e):
            return 1  # without a word: the other says why, if it can
        reporter.flush()
        lines.end("error", code=code, message=message)
        return 1


def launch(processes: str) -> None:
    """torchrun in this process, which ends all that it has started when one of them fails or is killed."""
    from torch.distributed.run import main as torchrun

    _die_with_parent()
    torchrun(["--standalone", "--nproc-per-node", processes, "-m", "terrarium.workers.runner"])


def _begin() -> None:
    _die_with_parent()
    _step_back()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)  # every thread's stack, for a supervisor that takes us for hung


def _read_spec() -> dict[str, Any] | None:
    """None where the supervisor has ended."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _shared_spec() -> dict[str, Any] | None:
    """What the first process reads, in all of them."""
    from terrarium.worlds.training import parallel

    parallel.join()
    return parallel.from_first(_read_spec)


def _lost_another(e: Exception) -> bool:
    from terrarium.worlds.training import parallel

    return parallel.lost_another(e)


def _take_stdout() -> IO[str]:
    """The original stdout for ourselves; descriptor 1 becomes stderr."""
    mine = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(mine, "w", encoding="utf-8")


def _die_with_parent() -> None:
    """At once where it is gone already: of its end before the call the kernel says nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        parent = str(os.getppid())
        gone = parent == "1" if SEVERAL else parent != os.environ.get("SUPERVISOR_PID", parent)
        if gone:
            os._exit(1)


def _step_back() -> None:
    """Lower priority. Under Linux autogroups niceness counts only within a session, and the runner has its own."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


def _listen(stop: threading.Event) -> None:
    """Sets `stop` when the supervisor sends it, or has ended."""
    for line in sys.stdin:
        if line.strip() == "stop":
            break
    stop.set()


def _guard_disk(lines: Lines, out_dir: Path) -> None:
    """Ends the run at once when half of the reserve is gone: Postgres, on the same disk, would fare worse without it.

    What has its name on the disk is complete, so nothing is lost but the work since the newest state.
    """
    floor = settings().reserve_bytes / 2
    while disk.free_bytes(out_dir) >= floor:
        time.sleep(LOOK_AT_DISK_S)
    message = f"stopped because {disk.human(disk.free_bytes(out_dir))} were left, less than {disk.human(floor)}"
    lines.end("error", code="disk_full", message=message)
    os._exit(1)


def _guard_memory(lines: Lines) -> None:
    """Ends the run before it takes all there is: the kernel would kill it without a word, or one of the services."""
    limit, root = runner_limit_bytes(), os.getppid() if SEVERAL else None
    while (taken := resident_bytes(root)) is not None and taken <= limit:
        time.sleep(LOOK_AT_MEMORY_S)
    if taken is None:  # this system does not tell
        return
    much = f"the job took {disk.human(taken)} of memory, more than {disk.human(limit)} (TERRARIUM_RUNNER_MEMORY_GB)"
    lines.end("error", code="out_of_memory", message=f"{much}: lower batch, channels or frames, or raise the limit")
    os._exit(1)


def _set_torch_threads() -> None:
    torch, threads = sys.modules.get("torch"), settings().torch_threads
    if torch is not None and threads > 0:
        torch.set_num_threads(threads)


def _is_torch_oom(e: BaseException) -> bool:
    """CUDA's own exception, or the RuntimeError of torch's CPU allocator."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    return isinstance(e, torch.cuda.OutOfMemoryError) or (
        isinstance(e, RuntimeError) and "can't allocate memory" in str(e)
    )


def _first_line(e: BaseException) -> str:
    return (str(e).splitlines() or [type(e).__name__])[0][:300]


def _plain(value: Any) -> Any:
    """Numpy and torch scalars in results."""
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        launch(sys.argv[1])
        os._exit(0)
    code = main()
    sys.stderr.flush()
    os._exit(code)  # not sys.exit: a library's thread or a CUDA teardown must not keep a finished run alive
