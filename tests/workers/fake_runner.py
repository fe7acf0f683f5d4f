"""A runner that speaks the protocol and does what `script` says: steps, crashes, refusals to stop.

The script is a JSON list in FAKE_SCRIPT's file, one entry for each run of the job (the last one repeats):
{"steps": 5, "pause_s": 0.05, "state_at": 3, "obeys": true,
 "end": "result" | "error" | "disk_full" | "kill" | "hang" | "exit",
 "files": {"world.glb": [bytes, role]}}
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

stop = threading.Event()


def say(type: str, **fields: Any) -> None:
    print(json.dumps({"type": type, **fields}), flush=True)


def listen() -> None:
    for line in sys.stdin:
        if line.strip() == "stop":
            stop.set()


def newest_state(out: Path) -> int:
    steps = [int(p.name.removeprefix("step_")) for p in (out / "state").glob("step_*")]
    return max(steps, default=0)


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    faulthandler.register(signal.SIGUSR1)
    threading.Thread(target=listen, daemon=True).start()
    out = Path(spec["out_dir"])
    runs = out / "runs"
    runs.write_text((runs.read_text() if runs.exists() else "") + "x")
    scripts = json.loads(Path(os.environ["FAKE_SCRIPT"]).read_text())
    script = scripts[min(len(runs.read_text()), len(scripts)) - 1]
    print(f"run {len(runs.read_text())} of {spec['kind']}", file=sys.stderr, flush=True)
    for name, (size, role) in script.get("files", {}).items():
        (out / name).write_bytes(bytes(size))
        say("file", name=name, path=str(out / name), caption=f"a {role}", role=role)
    walk(out, script)
    (out / "output").mkdir(exist_ok=True)
    (out / "output" / "manifest.json").write_text(json.dumps({"made_by": "fake"}))
    end(script.get("end", "result"))


def walk(out: Path, script: dict[str, Any]) -> None:
    total, first = script.get("steps", 5), newest_state(out)
    if first:
        say("resumed", step=first)
    for step in range(first + 1, total + 1):
        time.sleep(script.get("pause_s", 0.01))
        say("progress", step=step, total=total, phase="fake", eta_s=None, rate=None)
        say("metrics", step=step, values={"loss": 1 / step, "bad": float("nan")})
        stopping = stop.is_set() and script.get("obeys", True)
        if step == script.get("state_at") or stopping:
            folder = out / "state" / f"step_{step:06d}"
            folder.mkdir(parents=True, exist_ok=True)
            say("checkpoint", step=step, path=str(folder))
        if stopping:
            say("stopped")
            sys.exit(0)
        if step == script.get("kill_at"):
            time.sleep(0.5)  # what was said is on its way
            os.kill(os.getpid(), signal.SIGKILL)


def end(how: str) -> None:
    if how == "error":
        say("error", code="nan_loss", message="loss is nan: lower lr")
        sys.exit(1)
    if how == "disk_full":
        say("error", code="disk_full", message="the disk filled up")
        sys.exit(1)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        sys.exit(7)
    if how == "hang":
        time.sleep(600)
    say("result", result={"episodes": 1, "nan": float("nan")})


main()
