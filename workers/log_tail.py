"""Follows a runner's log: new lines for the job's events, the last ones as evidence."""

from __future__ import annotations

from pathlib import Path

from terrarium.store import disk

MAX_LINES = 2000  # a run may send to its events; a progress bar that prints for hours must not fill the database
MAX_LINE = 2000
LINES_A_LOOK = 50
TAIL_BYTES = 2**20
MAX_BYTES = 32 * 2**20  # of a log on the disk; beyond it, only its tail is kept


class LogTail:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = path.stat().st_size if path.exists() else 0  # an earlier attempt's lines are known
        self.sent = 0

    def new_lines(self) -> list[str]:
        """Complete lines since the last call, a few at a time."""
        if disk.cut_log(self.path, MAX_BYTES, TAIL_BYTES):
            self.at = self.path.stat().st_size
        if self.sent >= MAX_LINES or not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.at)
            data = file.read(LINES_A_LOOK * MAX_LINE)
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == LINES_A_LOOK * MAX_LINE else b"")
        lines = whole.splitlines(keepends=True)[:LINES_A_LOOK]
        self.at += sum(map(len, lines))
        self.sent += len(lines)
        texts = [_text(line) for line in lines]
        if self.sent >= MAX_LINES:
            texts.append(f"... more than {MAX_LINES} lines: the rest is in the log")
        return texts

    def last_lines(self, count: int = 20) -> list[str]:
        return [_text(line) for line in self.tail().splitlines()[-count:]]

    def tail(self) -> bytes:
        """The last MiB."""
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - TAIL_BYTES))
            return file.read()


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip()[:MAX_LINE]
