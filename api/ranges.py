"""Bytes that never change, whole or in part: ETag, If-None-Match and Range (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi.responses import Response, StreamingResponse

from terrarium.api.errors import answer
from terrarium.store.errors import TerrariumError

BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes, as what they are", **BYTES},
    206: {"description": "A part of them", **BYTES},
    304: {"description": "You have them"},
    416: {"description": "No such part"},
}


def serve(
    stream: Callable[[int, int], Iterator[bytes]],
    size: int,
    *,
    sha256: str,
    media_type: str,
    headers: Mapping[str, str],
    range: str | None,
    if_none_match: str | None,
) -> Response:
    """`stream(start, end)` yields the bytes [start, end) of the `size` whose hash is `sha256`."""
    etag = f'"{sha256}"'
    about = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=31536000, immutable", **headers}
    if if_none_match is not None and (etag in if_none_match or if_none_match.strip() == "*"):
        return Response(status_code=304, headers=about)
    part = parse_range(range, size)
    if part is None:
        about["Content-Length"] = str(size)
        return StreamingResponse(stream(0, size), headers=about, media_type=media_type)
    start, end = part
    if start >= end:
        error = TerrariumError(f"range {range!r} of {size} bytes", code="bad_range", status=416)
        return answer(error, {"Content-Range": f"bytes */{size}"})
    about |= {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
    return StreamingResponse(stream(start, end), 206, about, media_type)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """[start, end) of `bytes=a-b`, `a-` or `-n`; None (the whole) for anything else. start >= end: cannot be met."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header or "")
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None  # RFC 9110: such a range is to be ignored
    return int(first), min(size, int(last) + 1) if last else size
