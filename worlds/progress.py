"""What a recipe reports while it runs, and how it is asked to stop. Torch-free.

A recipe is `(config, out_dir, progress) -> dict`: the returned dict is the job's result (JSON). It keeps its
resumable state under `out_dir`, and on a stop request writes that state and raises `Stopped`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

Role = Literal["preview", "result", "log"]


class Stopped(Exception):
    """Raised by a recipe that saw `progress.stop_requested()` and has saved its state."""


class RecipeError(Exception):
    """A failure with a name and a remedy: `code` is stable (`nan_loss`, `out_of_memory`, `disk_full`, ...)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Progress(Protocol):
    def step(self, step: int, total: int, phase: str = "") -> None:
        """Work done so far, in steps of `total`; called every step, cheap, rate-limited by the receiver.

        Called with the same step again, it reports that this one is still in progress: a run that reports nothing
        for long is taken for hung (TERRARIUM_SILENCE_S).
        """

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars at a step. After a resume from step N every metric past N is sent again."""

    def preview(self, name: str, path: Path) -> None:
        """A picture under out_dir, worth showing while the job runs: a `file` of role preview. The next of this name
        takes its place."""

    def file(self, path: Path, caption: str = "", role: Role = "result") -> None:
        """Any file under out_dir that is to be seen with the job, such as a .glb, .mp4, .zip, .json or .html. It is
        shown by its extension, under its name; one of more than 32 MiB is left out, and the log says so."""

    def checkpoint(self, step: int, path: Path) -> None:
        """A complete training state at `path` (already renamed and synced); it may be resumed from once recorded."""

    def resumed(self, step: int) -> None:
        """The run goes on from the state at `step`; metrics past it are void."""

    def stop_requested(self) -> bool:
        """True once the run should save and raise `Stopped` (cancel or drain). Polled every step."""


def go_on(progress: Progress, step: int, total: int, phase: str) -> None:
    """For the loop within a step that may take minutes: still at work on it, or Stopped."""
    if progress.stop_requested():
        raise Stopped
    progress.step(step, total, phase)


class Silent:
    """A `Progress` for library use and tests: forgets everything, never stops."""

    def step(self, step: int, total: int, phase: str = "") -> None: ...
    def metrics(self, step: int, values: Mapping[str, float]) -> None: ...
    def preview(self, name: str, path: Path) -> None: ...
    def file(self, path: Path, caption: str = "", role: Role = "result") -> None: ...
    def checkpoint(self, step: int, path: Path) -> None: ...
    def resumed(self, step: int) -> None: ...
    def stop_requested(self) -> bool:
        return False


class Part:
    """A part of a run, as its `Progress`: its steps come after `before` steps of the run's `total`, so that no two of
    the run's states and metrics share a step. `name`, if given, leads phases and the names of metrics."""

    def __init__(self, progress: Progress, before: int, total: int, name: str = "") -> None:
        self.progress, self.before, self.total, self.name = progress, before, total, name

    def step(self, step: int, total: int, phase: str = "") -> None:
        self.progress.step(self.before + step, self.total, f"{self.name} {phase}".strip())

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        prefix = f"{self.name}/" if self.name else ""
        self.progress.metrics(self.before + step, {prefix + key: value for key, value in values.items()})

    def preview(self, name: str, path: Path) -> None:
        self.progress.preview(name, path)

    def file(self, path: Path, caption: str = "", role: Role = "result") -> None:
        self.progress.file(path, caption, role)

    def checkpoint(self, step: int, path: Path) -> None:
        self.progress.checkpoint(self.before + step, path)

    def resumed(self, step: int) -> None:
        self.progress.resumed(self.before + step)

    def stop_requested(self) -> bool:
        return self.progress.stop_requested()
