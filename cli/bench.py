"""`terrarium bench play`: frames a second and key-to-frame latency, over real WebSockets through the gateway.

terrarium bench play                                   one player at 60 fps, 8 and 16 at 30
terrarium bench play --players 4,8 --fps 30 --seconds 10 --json
terrarium bench play --url http://127.0.0.1:8420

Without --url it starts what it needs, waits until the live step is compiled, which takes some minutes, and keeps that
for the next time in --data-dir.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer
import uvloop
from rich.console import Console
from rich.table import Table
from websockets.exceptions import WebSocketException

from terrarium.cli.bench_ablations import ablations
from terrarium.cli.bench_alignment import alignment
from terrarium.cli.bench_gateway import gateway
from terrarium.cli.bench_player import BenchFailed, Player, check, play_all, playing
from terrarium.cli.bench_recipes import recipes
from terrarium.cli.bench_render import render
from terrarium.cli.bench_step import step
from terrarium.cli.bench_training import training
from terrarium.cli.machine import machine
from terrarium.store.errors import Unavailable
from terrarium.store.play_protocol import MOST_FPS, Frame

N = TypeVar("N", int, float)
app = typer.Typer(no_args_is_help=True)
app.command()(ablations)
app.command()(alignment)
app.command()(gateway)
app.command()(recipes)
app.command()(render)
app.command()(step)
app.command()(training)
ROOT = Path(__file__).resolve().parent.parent
START_S = 180.0  # an empty data directory: a new database cluster, compiled ray-caster, torch
COMPILE_S = 3600.0
WARM_UP_S = 2.0
LEAST_FPS, MOST_PLAYERS = 5.0, 256
SETTLED = re.compile(r"^.*model \S+(: compiled after|: nothing is compiled| plays (uncompiled|without)).*$", re.M)
COLUMNS = {
    "players": "players",
    "asked": "asked_fps",
    "fps": "fps_p50",
    "least": "fps_min",
    "ms p50": "latency_ms_p50",
    "p99": "latency_ms_p99",
    "wait": "of_it_wait_ms",
    "step": "of_it_step_ms",
    "encode": "of_it_encode_ms",
    "relay": "of_it_relay_ms",
    "dropped": "dropped",
}


@app.callback()
def bench() -> None:
    """Measure live play, its step, the gateway, training, recipes, parts of a world model, alignment, the renderer."""


@app.command()
def play(
    players: Annotated[str, typer.Option(help="Numbers of players at once, with commas between.")] = "1,8,16",
    seconds: Annotated[float, typer.Option(min=1, help="Measured time of each, after a warm-up of two.")] = 10.0,
    fps: Annotated[
        str,
        typer.Option(
            help="The pace that each player asks for: one, or one for each number of players. If omitted, 60 where "
            "there is one player, else 30."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a number of players on stdout.")] = False,
    url: Annotated[str, typer.Option(help="A running gateway. If omitted, one is started for the while.")] = "",
    checkpoint: Annotated[str, typer.Option(help="What to play.")] = "shipped",
    data_dir: Annotated[
        Path | None, typer.Option(help="Of what is started; keeps compiled steps. If omitted, a temporary one.")
    ] = None,
) -> None:
    """Players who hold W, turn, and change keys; frames a second and latency as they see them."""
    asked = rounds(players, fps)
    results = []
    with nullcontext(url) if url else running(data_dir, max(n for n, _ in asked), checkpoint) as at:
        for count, pace in asked:
            try:
                played = uvloop.run(play_all(at, count, seconds, pace, checkpoint, WARM_UP_S))
            except (BenchFailed, httpx.HTTPError, WebSocketException, OSError, TimeoutError) as e:
                raise Unavailable(f"{at} cannot be played: {e or type(e).__name__}") from e
            results.append(summary(played, seconds, pace) | {"checkpoint": checkpoint} | machine())
            if as_json:
                print(json.dumps(results[-1]), flush=True)
    if not as_json:
        Console().print(table(results))


def rounds(players: str, fps: str) -> list[tuple[int, float]]:
    """What the two options ask for: numbers of players, and the pace of each. ValueError for anything else."""
    counts = numbers("--players", players, int, 1, MOST_PLAYERS)
    paces = numbers("--fps", fps, float, LEAST_FPS, MOST_FPS) if fps else [MOST_FPS if n == 1 else 30.0 for n in counts]
    if len(paces) not in (1, len(counts)):
        raise ValueError(f"--fps {fps!r}: expected one pace, or {len(counts)}, as many as there are in {players!r}")
    return list(zip(counts, paces * len(counts), strict=False))


def numbers(option: str, text: str, of: type[N], least: float, most: float) -> list[N]:
    """ValueError unless `text` is numbers between the two."""
    try:
        found = [of(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(least <= n <= most for n in found):
        what = "whole numbers" if of is int else "numbers"
        raise ValueError(f"{option} {text!r}: expected {what} from {least:g} to {most:g} with commas between")
    return found


@contextmanager
def running(data_dir: Path | None, players: int, checkpoint: str) -> Iterator[str]:
    """`terrarium up` without a worker, on a free port; its address, once the checkpoint's step is compiled. Stopped
    afterwards."""
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as temporary:
        where = str((data_dir or Path(temporary)).absolute())
        command = [sys.executable, "-m", "terrarium.cli.main", "up", "--data-dir", where, "--port", "0", "--no-worker"]
        env = os.environ | {"TERRARIUM_MAX_PLAYERS": str(max(players, 16)), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            at = _address(process)
            print("the live step is compiled ...", file=sys.stderr)
            print(asyncio.run(compiled(at, checkpoint, Path(where) / "logs" / "player.log")), file=sys.stderr)
            yield at
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


async def compiled(url: str, checkpoint: str, log: Path) -> str:
    """The line with which the player tells what it compiled. One player plays meanwhile, or nothing would be."""
    async with asyncio.timeout(COMPILE_S), playing(url, 1, checkpoint, LEAST_FPS) as players:
        while not (said := SETTLED.search(log.read_text())):
            check(players)
            await asyncio.sleep(1.0)
    return said.group()


def _address(process: subprocess.Popen[str]) -> str:
    """The address that `up` prints once everything answers; its output goes on to our stderr."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", file=sys.stderr)
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_S
    try:
        while line := lines.get(timeout=max(0.0, deadline - time.monotonic())):
            word, _, rest = line.strip().partition(":")
            if word == "Play":
                return rest.strip()
    except queue.Empty:
        raise Unavailable(f"terrarium up did not get ready within {START_S:.0f} s") from None
    raise Unavailable("terrarium up ended before it was ready")


def summary(played: list[Player], seconds: float, fps: float) -> dict[str, Any]:
    """fps: each player's frames over the measured time. Milliseconds: over all frames, or all input changes."""
    rates = [len(p.frames) / seconds for p in played]
    frames = [frame for p in played for _, frame in p.frames]
    answers = [answer for p in played for answer in p.answers]
    latencies = [ms for ms, _, _ in answers]
    gaps = [(b - a) * 1e3 for p in played for (a, _), (b, _) in zip(p.frames, p.frames[1:], strict=False)]
    return {
        "players": len(played),
        "seconds": seconds,
        "asked_fps": fps,
        "fps_p50": _round(statistics.median(rates)),
        "fps_min": _round(min(rates)),
        "latency_ms_p50": _percentile(latencies, 50),
        "latency_ms_p99": _percentile(latencies, 99),
        "input_changes": len(latencies),
        **parts(answers),
        "frame_gap_ms_p99": _percentile(gaps, 99),
        "frames": len(frames),
        "dropped": sum(p.dropped for p in played),
        "tick_fps": _percentile([f.fps for f in frames], 50),
        "batch": max((f.players for f in frames), default=0),
        "model_ms_p50": _percentile([f.model_ms for f in frames], 50),
        "encode_ms_p50": _percentile([f.encode_ms for f in frames], 50),
        "frame_bytes_p50": _percentile([float(len(f.model_jpeg)) for f in frames], 50),
        "frame_size": [played[0].hello.get("width"), played[0].hello.get("height")],
    }


def parts(answers: list[tuple[float, float, Frame]]) -> dict[str, float | None]:
    """What the latency of input changes is made of, medians in milliseconds: the wait for the next tick; the step; the
    encoding, other players' before one's own among it; the way through gateway and sockets, there and back."""
    return {
        "of_it_wait_ms": _percentile([ms - age_ms + f.queue_ms for ms, age_ms, f in answers], 50),
        "of_it_step_ms": _percentile([f.model_ms for _, _, f in answers], 50),
        "of_it_encode_ms": _percentile([f.encode_ms for _, _, f in answers], 50),
        "of_it_relay_ms": _percentile([age_ms - f.queue_ms - f.model_ms - f.encode_ms for _, age_ms, f in answers], 50),
    }


def _percentile(values: list[float], percent: float) -> float | None:
    """Nearest rank; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return _round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))])


def _round(value: float) -> float:
    return round(value, 2)


def table(results: list[dict[str, Any]]) -> Table:
    """Frames a second, then milliseconds."""
    found = Table(*COLUMNS, box=None, padding=(0, 1, 0, 0))
    for result in results:
        found.add_row(*("-" if result[name] is None else f"{result[name]:g}" for name in COLUMNS.values()))
    return found
