from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from terrarium.store import artifacts
from terrarium.store.errors import NotFound


def test_bytes_come_back_whole_and_in_parts(data_dir: Path) -> None:
    data = bytes(range(256)) * 3000
    artifact = artifacts.put(uuid4(), "x.bin", "application/octet-stream", data)
    assert (artifact.size, artifact.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert b"".join(artifacts.stream(artifact)) == data
    assert b"".join(artifacts.stream(artifact, 5, 700_000)) == data[5:700_000]
    assert artifacts.get_range(artifact, 10, 10) == b""
    assert [p.name for p in (data_dir / "artifacts").iterdir()] == [str(artifact.id)]


def test_missing_bytes_are_not_found_before_streaming_starts(data_dir: Path) -> None:
    artifact = artifacts.put(uuid4(), "x", "text/plain", b"abc")
    (data_dir / "artifacts" / str(artifact.id)).unlink()
    with pytest.raises(NotFound):
        artifacts.stream(artifact)


def test_too_many_bytes_are_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MAX_BYTES", 2)
    with pytest.raises(ValueError, match="3 bytes, expected at most 2"):
        artifacts.put(uuid4(), "x", "text/plain", b"abc")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("walk.PNG", "image/png"),
        ("world.glb", "model/gltf-binary"),
        ("clip.mp4", "video/mp4"),
        ("report.html", "text/html"),
        ("drawing.svg", "application/octet-stream"),
        ("noextension", "application/octet-stream"),
    ],
)
def test_the_extension_says_what_a_file_is(name: str, expected: str) -> None:
    assert artifacts.media_type(name) == expected
