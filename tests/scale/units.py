"""What one frame and one job cost, measured here: the unit costs of docs/scale.md.

    python tests/scale/units.py [--frames 3000] [--jobs 300] [--events 100]

By processor time, so that a busy machine counts little. Frame: bytes of a JPEG as the player encodes it, the encoding,
and the gateway's relay between a player and a browser that acknowledges every frame, over real sockets. Job: its life
through store/jobs.py in an embedded Postgres: submitted, taken from the outbox, claimed, reported by `--events`
progress events, as many measurements of three numbers, and finished. Bytes are of its tables and their indexes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, unix_serve

from terrarium.store.play_protocol import Frame, Input, Open, frame_seq, pack_frame, pack_input

TICKS = os.sysconf("SC_CLK_TCK")


def frame_costs() -> tuple[bytes, dict[str, float]]:
    """A JPEG of the median size along a walk in the block world, and what it takes."""
    from terrarium.workers.ticker import encode
    from terrarium.worlds.blocks.actions import A
    from terrarium.worlds.blocks.world import BlockWorld

    world, ahead = BlockWorld(64, 64), np.zeros(A, np.float32)
    ahead[0] = 6  # degrees to the right
    world.reset(1_000_000_003)
    seen = [np.array(world.step(ahead)) for _ in range(60)]
    began = time.process_time()
    jpegs = [encode(frame) for _ in range(20) for frame in seen]
    each = (time.process_time() - began) / len(jpegs)
    jpeg = sorted(jpegs, key=len)[len(jpegs) // 2]
    return jpeg, {"jpeg bytes, median": len(jpeg), "encoding, ms of processor": 1e3 * each}


def gateway(port: int, player: str) -> None:
    """A process with nothing but the relay."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket

    from terrarium.api.relay import relay

    os.environ["TERRARIUM_PLAYER_URL"] = player

    async def play(ws: WebSocket) -> None:
        await ws.accept()
        await relay(ws, Open(session="units", checkpoint="shipped", seed=0))

    app = Starlette(routes=[WebSocketRoute("/", play)])
    uvicorn.run(app, port=port, log_level="error", ws_per_message_deflate=False)


def processor_s(pid: int) -> float:
    """Of a process so far: fields 14 and 15 of its stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def relay_costs(jpeg: bytes, count: int, folder: Path) -> dict[str, float]:
    """`count` frames, each sent when the one before was acknowledged."""

    async def player(ws: ServerConnection) -> None:
        await ws.recv()  # Open
        for seq in range(1, count + 1):
            await ws.send(pack_frame(Frame(0, 1, seq, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, jpeg, b"")))
            await ws.recv()
        await ws.wait_closed()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"unix://{folder}/player.sock"
    process = multiprocessing.get_context("spawn").Process(target=gateway, args=(port, address), daemon=True)
    async with unix_serve(player, address.removeprefix("unix://"), compression=None):
        process.start()
        assert process.pid is not None
        while True:
            try:
                browser = await connect(f"ws://127.0.0.1:{port}/", compression=None)
                break
            except OSError:
                await asyncio.sleep(0.2)
        began, received = processor_s(process.pid), 0
        for _ in range(count):
            data = await browser.recv()
            assert isinstance(data, bytes)
            received += len(data)
            await browser.send(pack_input(Input(1, 0.0, 0.0, frame_seq(data), frame_seq(data), 0.0)))
            await asyncio.sleep(1 / 120)  # a browser that sends more than 200 messages a second is not heard
        used = processor_s(process.pid) - began
        await browser.close()
    process.terminate()
    process.join()
    return {"frame bytes on the wire": received / count, "relay, ms of processor a frame": 1e3 * used / count}


@contextmanager
def database(folder: Path) -> Iterator[None]:
    from terrarium.store.db import upgrade_database
    from terrarium.store.embedded import Postgres

    postgres = Postgres(folder / "postgres", folder / "sockets", folder / "postgres.log", options=["fsync=off"])
    postgres.start()
    try:
        postgres.wait_ready()
        upgrade_database(postgres.url)
        os.environ["DATABASE_URL"] = postgres.url
        yield
    finally:
        postgres.stop()


def job_costs(count: int, reports: int) -> dict[str, float]:
    """`count` jobs, one after the other."""
    from sqlalchemy import text

    from terrarium.store import dispatch, jobs
    from terrarium.store.db import session_scope
    from terrarium.store.events import Event
    from terrarium.store.tables import Metric
    from terrarium.worlds.kinds import kinds

    config: Any = kinds()["world-model.train"].read({"data": "-"})
    body = {name: getattr(config, name) for name in config.__dataclass_fields__}

    def measured() -> dict[str, float]:
        sizes = text("SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                     "'public'::regnamespace")  # fmt: skip
        with session_scope() as session:
            return {name: float(size) for name, size in session.execute(sizes)}

    def life() -> None:
        with session_scope() as session:
            made = jobs.submit(session, body, "gpu.train")
            found = made.id
        with session_scope() as session:
            dispatch.take_outbox(session)
        with session_scope() as session:
            job = jobs.claim(session, found, "worker@units", 60)
            assert job is not None
            fence = job.fence
        for i in range(reports):
            progress = {"step": i, "total": reports, "phase": "train", "eta_s": 12.3, "rate": 1.234}
            numbers = {"loss": 1.23456789, "ce": 2.3456789, "lr": 0.001}
            values = {"step": i, "values": numbers}
            with session_scope() as session:
                jobs.record(session, found, fence, [Event("progress", progress), Event("metrics", values)], progress)
                session.add_all(Metric(job_id=found, key=k, step=i, value=v) for k, v in numbers.items())
        with session_scope() as session:
            jobs.finish(session, found, fence, {"steps": reports, "val_ce": 3.21, "seconds": 12.3})

    before, began = measured(), time.perf_counter()
    for _ in range(count):
        life()
    seconds, after = time.perf_counter() - began, measured()
    grown = {name: (after[name] - before[name]) / count for name in after}
    costs = {f"bytes a job in {name}": size for name, size in grown.items() if size > 0}
    return costs | {"jobs a second, one connection, one after the other": count / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--events", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="terrarium-units-") as name:
        jpeg, costs = frame_costs()
        show(costs)
        show(asyncio.run(relay_costs(jpeg, given.frames, Path(name))))
        with database(Path(name)):
            show(job_costs(given.jobs, given.events))


def show(costs: dict[str, float]) -> None:
    for name, cost in costs.items():
        print(f"{name:<50}  {cost:12,.3f}", flush=True)


if __name__ == "__main__":
    main()
