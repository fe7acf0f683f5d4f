"""Curves as TensorBoard reads them."""

from __future__ import annotations

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from terrarium.cli.console import ConsoleProgress
from terrarium.cli.curves import Curves


def events(folder: Path) -> list[Event]:
    """A record is its length (8 bytes), a checksum (4), the event, a checksum (4)."""
    found = []
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_metrics_of_a_run_become_scalars_and_a_resume_takes_some_back(tmp_path: Path) -> None:
    with ConsoleProgress("a run", Curves(tmp_path)) as progress:
        progress.metrics(1, {"loss": 0.5, "lr": 1e-3})
        progress.metrics(2, {"loss": 0.25})
        progress.resumed(1)
        progress.metrics(2, {"loss": 0.125})
    found = events(tmp_path)
    told = [(e.step, v.tag, v.simple_value) for e in found for v in e.summary.value]
    assert [(step, name) for step, name, _ in told] == [(1, "loss"), (1, "lr"), (2, "loss"), (2, "loss")]
    assert [value for _, name, value in told if name == "loss"] == [0.5, 0.25, 0.125]
    assert any(e.session_log.status == e.session_log.START and e.step == 2 for e in found if e.HasField("session_log"))
