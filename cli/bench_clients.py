"""The clients of `terrarium bench gateway`: a process of its own, so that its processor time is not the gateway's.

python -m terrarium.cli.bench_clients '{"port": 8420, "paths": ["/v1/jobs"], "clients": 4, "seconds": 5}'
python -m terrarium.cli.bench_clients '{"port": 8420, "paths": ["/v1/jobs/ID/events", ...], "watch": true}'

They write bare HTTP/1.1 on keep-alive connections of asyncio, about .1 ms a request: an HTTP library's share of two
cores would be a figure of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any
from uuid import uuid4

WARM_UP_S = 2.0
OPENING = 50  # watchers that connect at the same time


async def ask(
    port: int, paths: Sequence[str], clients: int, seconds: float, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Each client asks for one path after the other, the next as soon as it has the answer to the last: by POST where
    there is a body, with an Idempotency-Key of its own. -> milliseconds of each answer after the warm-up, their time in
    seconds, and how many answers there were with it."""
    latencies_ms: list[float] = []
    answers = 0  # those of the warm-up too
    begin = time.perf_counter() + WARM_UP_S
    end = begin + seconds

    async def client(first: int) -> None:
        nonlocal answers
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path in cycle([*paths[first:], *paths[:first]]):
            request = request_of(path, body)
            sent = time.perf_counter()
            writer.write(request)
            status, text = await answer(reader)
            now = time.perf_counter()
            if status not in (200, 201):
                raise SystemExit(f"{path}: {status} {text[:500].decode(errors='replace')}")
            answers += 1
            if sent >= begin:
                latencies_ms.append((now - sent) * 1e3)
            if now >= end:
                writer.close()
                return

    async with asyncio.TaskGroup() as tasks:
        for i in range(clients):
            tasks.create_task(client(i % len(paths)))
    return {"latencies_ms": latencies_ms, "seconds": time.perf_counter() - begin, "answers": answers}


async def watch(port: int, paths: Sequence[str]) -> None:
    """Opens an event stream for each path, says so once every one has begun, and reads until stdin ends."""
    opening = asyncio.Semaphore(OPENING)
    open_streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def begin(path: str) -> None:
        async with opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_of(path, None))
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise SystemExit(f"{path}: {head.decode(errors='replace')}")
            await reader.readuntil(b"data:")
            open_streams.append((reader, writer))

    async with asyncio.TaskGroup() as tasks:
        for path in paths:
            tasks.create_task(begin(path))
    print("watching", flush=True)
    readers = [asyncio.create_task(drain(reader)) for reader, _ in open_streams]
    await asyncio.to_thread(sys.stdin.read)
    for reader in readers:
        reader.cancel()


async def drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(2**16):
        pass


def request_of(path: str, body: dict[str, Any] | None) -> bytes:
    if body is None:
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    text = json.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\nIdempotency-Key: {uuid4()}\r\n\r\n{text}".encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of an answer that says how long it is."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


def main() -> None:
    how = json.loads(sys.argv[1])
    if how.pop("watch", False):
        asyncio.run(watch(**how))
    else:
        print(json.dumps(asyncio.run(ask(**how))))


if __name__ == "__main__":
    main()
