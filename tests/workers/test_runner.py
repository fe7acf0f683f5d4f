"""The runner alone: what it says, how it names errors, when it ends."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import ROOT, until
from small_disk import fill, small_disk

from terrarium.workers import runner
from terrarium.workers.log_tail import LogTail
from terrarium.workers.runner import Lines, Rate, Reporter, name_error
from terrarium.worlds.progress import RecipeError


def start(out_dir: Path, supervisor: int | None = None, **config: Any) -> subprocess.Popen[str]:
    """A recording, started as the supervisor does; by default that is this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "terrarium.workers.runner"],
        cwd=ROOT,
        env=os.environ | {"SUPERVISOR_PID": str(supervisor or os.getpid())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    config = {"kind": "dataset.record", "world": "plains", "width": 16, "height": 16, "steps": 16} | config
    spec = {"kind": "dataset.record", "config": config, "inputs": {}, "out_dir": str(out_dir)}
    assert process.stdin is not None
    process.stdin.write(json.dumps(spec) + "\n")
    process.stdin.flush()
    return process


def test_it_says_what_the_recipe_does(tmp_path: Path) -> None:
    process = start(tmp_path, episodes=3, val_fraction=0.34)
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout]
    assert process.wait() == 0
    types = [line["type"] for line in lines]
    assert types[0] == "progress" and types[-1] == "result" and "file" in types
    steps = [line["step"] for line in lines if line["type"] == "progress"]
    assert steps[0] == 1 and steps[-1] == 3, "the first and the last are always sent"
    assert lines[-1]["result"]["episodes"] == 3
    (preview,) = [line for line in lines if line["type"] == "file"]
    assert Path(preview["path"]).is_relative_to(tmp_path / "files") and preview["role"] == "preview"
    assert (tmp_path / "output" / "manifest.json").is_file()


def test_stop_and_a_closed_stdin_end_it_with_its_state_saved(tmp_path: Path) -> None:
    for word in ("stop\n", ""):
        process = start(tmp_path, episodes=100_000)
        assert process.stdout is not None and process.stdin is not None
        assert json.loads(process.stdout.readline())["type"] == "progress"
        process.stdin.write(word)
        process.stdin.close()
        assert json.loads(process.stdout.readlines()[-1]) == {"type": "stopped"}
        assert process.wait() == 0


def test_one_that_takes_too_much_memory_ends_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRARIUM_RUNNER_MEMORY_GB", "0.02")
    process = start(tmp_path, episodes=100_000)
    assert process.stdout is not None
    last = json.loads(process.stdout.readlines()[-1])
    assert process.wait() == 1 and (last["type"], last["code"]) == ("error", "out_of_memory")
    assert "more than 20.0 MB (TERRARIUM_RUNNER_MEMORY_GB)" in last["message"]


def test_asked_by_signal_it_writes_where_it_is_and_goes_on(tmp_path: Path) -> None:
    process = start(tmp_path, episodes=100_000)
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["type"] == "progress"
    process.send_signal(signal.SIGUSR1)
    stacks = iter(process.stderr.readline, "")
    assert any("in record_dataset" in line for line in stacks)
    process.stdin.close()
    assert json.loads(process.stdout.readlines()[-1]) == {"type": "stopped"} and process.wait() == 0


def test_a_bad_config_is_the_users_fault(tmp_path: Path) -> None:
    process = start(tmp_path, episodes=-1)
    assert process.stdout is not None and process.stderr is not None
    (line,) = process.stdout.readlines()
    error = json.loads(line)
    assert (error["type"], error["code"]) == ("error", "invalid_input") and "episodes" in error["message"]
    assert "Traceback" in process.stderr.read() and process.wait() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel by prctl")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.nice() == runner.NICENESS
    parent.kill()
    parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 3)


def test_it_ends_where_its_supervisor_ended_before_it_could_ask_the_kernel(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert start(tmp_path, gone.pid, episodes=100_000).wait(60) == 1
    assert not list(tmp_path.iterdir())


PARENT = """
import json, subprocess, sys
config = {"kind": "dataset.record", "episodes": 100000}
spec = {"kind": "dataset.record", "config": config, "inputs": {}, "out_dir": sys.argv[1]}
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
# The pipe stays open in a grandchild, so that only the kernel tells the runner.
child = subprocess.Popen([sys.executable, "-m", "terrarium.workers.runner"], text=True, start_new_session=True, **pipes)
child.stdin.write(json.dumps(spec) + "\\n"); child.stdin.flush()
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize(
    "error, code, says",
    [
        (RecipeError("nan_loss", "loss is nan: lower lr"), "nan_loss", "lower lr"),
        (ValueError("frame size 30x30"), "invalid_input", "30x30"),
        (FileNotFoundError(2, "No such file", "data/x"), "invalid_input", "data/x"),
        (MemoryError(), "out_of_memory", "lower batch"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", "No space left"),
        (OSError("3145728 requested and 12288 written"), "disk_full", "3145728 requested"),
        (OSError(errno.EIO, "Input/output error"), "internal_error", "OSError"),
        (KeyError("x"), "internal_error", "KeyError: 'x'"),
    ],
)
def test_errors_have_names_and_remedies(error: Exception, code: str, says: str, tmp_path: Path) -> None:
    found = name_error(error, tmp_path)
    assert found[0] == code and says in found[1]


def test_what_fails_on_a_full_disk_fails_for_that(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        assert name_error(KeyError("x"), disk)[0] == "internal_error"
        fill(disk)
        for error in (KeyError("x"), ValueError("frames.npy is truncated"), RuntimeError("write failed")):
            assert name_error(error, disk)[0] == "disk_full"
        assert name_error(RecipeError("nan_loss", "lower lr"), disk)[0] == "nan_loss"


def test_a_recording_that_fills_the_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRARIUM_RESERVE_MB", "0")
    with small_disk(tmp_path / "disk", 3) as disk:
        process = start(disk / "run", episodes=200, steps=64, width=64, height=64)
        assert process.stdout is not None and process.stderr is not None
        line = json.loads(process.stdout.readlines()[-1])
        assert (line["type"], line["code"]) == ("error", "disk_full"), line
        assert "Traceback" in process.stderr.read() and process.wait() == 1
        assert not list(disk.glob("run/output/episodes/.*")), "what it could not finish is removed"


def test_a_runner_stops_before_it_eats_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRARIUM_RESERVE_MB", str(10**9))
    process = start(tmp_path, episodes=100_000)
    assert process.stdout is not None
    line = json.loads(process.stdout.readlines()[-1])
    assert (line["type"], line["code"]) == ("error", "disk_full") and "less than 500.0 TB" in line["message"]
    assert process.wait() == 1


def test_the_first_end_counts() -> None:
    text = io.StringIO()
    lines = Lines(text)
    lines.end("result", result={})
    lines.end("error", code="disk_full", message="too late")
    assert [json.loads(line)["type"] for line in text.getvalue().splitlines()] == ["result"]


def test_torch_running_out_of_memory_is_known_on_both_devices(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    assert name_error(torch.cuda.OutOfMemoryError("CUDA out of memory"), tmp_path)[0] == "out_of_memory"
    assert name_error(RuntimeError("DefaultCPUAllocator: can't allocate memory"), tmp_path)[0] == "out_of_memory"
    assert name_error(RuntimeError("size mismatch"), tmp_path)[0] == "internal_error"


def test_the_rate_is_that_of_the_recent_past() -> None:
    rate = Rate()
    rate.add(100.0, 1, "train")  # after a minute of compilation
    assert rate.per_s is None
    for n in range(1, 101):
        rate.add(100.0 + n, 1 + 2 * n, "train")
    assert rate.per_s == pytest.approx(2.0)
    for n in range(1, 61):  # it has become slower, and the fast past is forgotten
        rate.add(200.0 + n, 201 + n, "train")
    assert rate.per_s == pytest.approx(1.0)
    for n in range(1, 61):  # still at work on the last step
        rate.add(260.0 + n, 261, "train")
    assert rate.per_s == pytest.approx(1.0)
    rate.add(400.0, 1, "evaluate")
    assert rate.per_s is None, "another phase has another pace"


def test_progress_is_thinned_out_but_never_loses_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])
    text = io.StringIO()
    reporter = Reporter(Lines(text), tmp_path, threading.Event())
    for step in range(1, 101):
        now[0] += 0.01
        reporter.step(step, 100, "train")
    reporter.step(3, 10, "save")
    reporter.step(4, 10, "save")
    reporter.flush()
    lines = [json.loads(line) for line in text.getvalue().splitlines()]
    steps = [(line["phase"], line["step"]) for line in lines]
    assert steps[0] == ("train", 1) and ("train", 100) in steps
    assert 4 <= len([s for s in steps if s[0] == "train"]) <= 6
    assert steps[-2:] == [("save", 3), ("save", 4)]
    assert lines[1]["eta_s"] == pytest.approx(0.01 * (100 - lines[1]["step"]), abs=0.1)
    assert [line["eta_s"] for line in lines if line["step"] == 100] == [0.0]


def test_the_log_is_followed_by_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "runner.log"
    log.write_text("of an earlier attempt\n")
    tail = LogTail(log)
    with log.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert tail.new_lines() == ["one"]
        file.write("o\n" + "x\n" * 120)
        file.flush()
        assert tail.new_lines()[0] == "two"
        assert [len(tail.new_lines()) for _ in range(3)] == [50, 21, 0]
    assert tail.last_lines(2) == ["x", "x"]
    assert LogTail(tmp_path / "none").new_lines() == [] and LogTail(tmp_path / "none").tail() == b""


def test_a_noisy_log_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.workers.log_tail.MAX_BYTES", 2**21)
    log = tmp_path / "runner.log"
    tail = LogTail(log)
    log.write_text("noise\n" * 400_000)
    assert tail.new_lines() == [] and log.stat().st_size == 2**20
    with log.open("a") as file:
        file.write("more\n")
    assert tail.new_lines() == ["more"]


def test_a_noisy_log_does_not_fill_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.workers.log_tail.MAX_LINES", 60)
    log = tmp_path / "runner.log"
    tail = LogTail(log)
    log.write_text("noise\n" * 1000)
    assert len(tail.new_lines()) == 50
    assert tail.new_lines()[-1].startswith("... more than 60 lines")
    assert tail.new_lines() == []
