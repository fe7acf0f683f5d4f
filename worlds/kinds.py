"""What a kind of job is, and every kind there is. Torch-free.

A room (a folder of worlds/) lists its kinds in its `kinds.py`: one `JobKind` row each, beside the config dataclasses
and the presets. All else derives from the rows: request bodies and OpenAPI, forms, queues, what a result becomes, the
command line, the jobs that follow. Adding a room adds a name to `ROOMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import GroupedMetadata, MaxLen, MinLen
from pydantic import TypeAdapter

from worlds.progress import Progress

ROOMS = ("worlds.episodes.kinds", "worlds.world_model.kinds")  # each holds a dict literal KINDS: {kind: JobKind}

# Of every config: unknown fields are refused, and the string below a field is its help text.
CONFIG: Any = {"extra": "forbid", "use_attribute_docstrings": True}
Recipe = Callable[[Any, Path, Progress], dict[str, Any]]


@dataclass(frozen=True, init=False)
class Input(GroupedMetadata):
    """Marks a config field that names an input of one of these types: `Annotated[str, Input("dataset")]`.

    A job holds ids, a recipe gets folders. A tuple of such fields takes several inputs, `| None` makes it optional.
    """

    types: tuple[str, ...]

    def __init__(self, *types: str) -> None:
        object.__setattr__(self, "types", types)

    def __iter__(self) -> Iterator[object]:
        yield MinLen(1)
        yield MaxLen(4096)


@dataclass(frozen=True)
class Slot:
    """A config field that takes inputs. `many`: a list of them; `optional`: it may be None."""

    types: tuple[str, ...]
    many: bool
    optional: bool

    def named(self, value: Any) -> tuple[str, ...]:
        """The ids or folders in the field's value."""
        if value is None:
            return ()
        return tuple(value) if self.many else (value,)


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """One kind of job. Its name is the key of its row and the default of its config's field `kind`."""

    config: type
    recipe: str
    """`module:function`, a path so that reading the row loads no torch."""
    makes: str
    """Type of what `output/` becomes: dataset, evaluation (of the only input), or that of a checkpoint."""
    queue: Literal["cpu", "gpu.train", "gpu.generate"]
    title: str
    """What the job does, as a button would say it."""
    presets: Mapping[str, Callable[[], Any]]
    http: bool = True
    """Whether a client may submit it. False where the config names paths of this machine."""
    then: Callable[[str, dict[str, Any]], Any] | None = None
    """(id, manifest) of what a finished job made -> config of the job that follows it, or None."""

    @cached_property
    def inputs(self) -> dict[str, Slot]:
        """The config's fields that take inputs."""
        hints = get_type_hints(self.config, include_extras=True)
        slots = {name: _slot(hint) for name, hint in hints.items()}
        return {name: slot for name, slot in slots.items() if slot is not None}

    def read(self, values: Mapping[str, Any]) -> Any:
        """A config from plain values. pydantic's ValidationError, a ValueError, names what is wrong."""
        return TypeAdapter(self.config).validate_python(dict(values))

    def load(self) -> Recipe:
        module, _, name = self.recipe.partition(":")
        return getattr(import_module(module), name)


def _slot(hint: Any, many: bool = False, optional: bool = False) -> Slot | None:
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, Input):
            return Slot(mark.types, many, optional)
    args = get_args(hint)
    many, optional = many or get_origin(hint) in (tuple, list), optional or NoneType in args
    return next((slot for arg in args if (slot := _slot(arg, many, optional))), None)


@cache
def kinds() -> dict[str, JobKind]:
    """{kind: row} of every room."""
    return {name: kind for room in ROOMS for name, kind in import_module(room).KINDS.items()}
