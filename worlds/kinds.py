"""What a kind of job is, and every kind there is. Torch-free.

A room (a folder of worlds/) lists its kinds in its `kinds.py`: one `JobKind` row each, beside the config dataclasses
and the presets. All else derives from the rows: request bodies and OpenAPI, forms, queues, what a result becomes, the
command line, the jobs that follow. Adding a room adds a name to `ROOMS`.

What may also be made elsewhere and brought here has an `AssetType` row, in the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import GroupedMetadata, MaxLen, MinLen
from pydantic import TypeAdapter

from terrarium.worlds.json_file import read_object
from terrarium.worlds.progress import Progress

# Each holds dict literals KINDS: {kind: JobKind} and, where people may bring what it makes, ASSETS: {type: AssetType}.
ROOMS = (
    "terrarium.worlds.episodes.kinds",
    "terrarium.worlds.generators.kinds",
    "terrarium.worlds.materials.kinds",
    "terrarium.worlds.voxels.kinds",
    "terrarium.worlds.world_model.kinds",
)

# Of every config: unknown fields, infinity and NaN are refused, and the string below a field is its help text.
CONFIG: Any = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}
MAX_NAME = 100  # characters in the name of a job
Recipe = Callable[[Any, Path, Progress], dict[str, Any]]
Manifests = Mapping[str, Any]  # {field: manifest of the input}, a list of them where the field takes many
Misfit = tuple[str, str]  # field, and what was found there instead of what


class Conflict(ValueError):
    """A field that contradicts another one. A config's `__post_init__` raises it, also where JSON was read into it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


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
class More:
    """Marks a config field that few need, so that forms fold it away, with others of its group:
    `Annotated[int, Ge(0), More("Saving")]`."""

    group: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core_schema), "group": self.group}


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
    """Functions whose docstring says in a sentence what the preset is for; forms show it."""
    several: bool = False
    """Whether torchrun may start several processes of the recipe, which share its steps and of which the first alone
    writes (worlds/training/parallel.py)."""
    http: bool = True
    """Whether a client may submit it. False where the config names paths of this machine."""
    then: Callable[[str, dict[str, Any]], Any] | None = None
    """(id, manifest) of what a finished job made -> config of the job that follows it, or None."""
    fits: Callable[[Any, Manifests], list[Misfit]] | None = None
    """(config, manifests of the inputs that are known) -> those that do not fit the others or the config."""
    promises: Callable[[Any, Manifests], dict[str, Any]] | None = None
    """(config, manifests of the inputs) -> the manifest of what it will make, as far as it is known before: what comes
    next in a plan is checked against it. If omitted, nothing is."""
    estimate: Callable[[Mapping[str, Any], int], int] | None = None
    """(config as plain values, bytes of the frames in its inputs) -> bytes on the disk at the job's peak, to be right
    within a third. If omitted, the job takes next to nothing."""

    @cached_property
    def inputs(self) -> dict[str, Slot]:
        """The config's fields that take inputs."""
        hints = get_type_hints(self.config, include_extras=True)
        slots = {name: _slot(hint) for name, hint in hints.items()}
        return {name: slot for name, slot in slots.items() if slot is not None}

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the config; the strings below its fields are the descriptions."""
        return self._adapter.json_schema()

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.config)

    def read(self, values: Mapping[str, Any]) -> Any:
        """A config from plain values. pydantic's ValidationError, a ValueError, names what is wrong."""
        return self._adapter.validate_python(dict(values))

    def draft(self, values: Mapping[str, Any]) -> Any:
        """A config some of whose fields are still to be chosen. Of those that it cannot do without, "-" stands for each
        input, and for others what the first preset has."""
        needed = [f.name for f in fields(self.config) if f.default is MISSING]
        blank = {name: ("-",) if slot.many else "-" for name, slot in self.inputs.items() if name in needed}
        if self.presets:
            preset = next(iter(self.presets.values()))()
            blank |= {name: getattr(preset, name) for name in needed if name not in blank}
        return self.read(blank | dict(values))

    def preset_of(self, config: Any) -> str | None:
        """Name of the preset that the config is, its inputs aside; None for any other."""
        for name, make in self.presets.items():
            if all(
                getattr(make(), f.name) == getattr(config, f.name) for f in fields(config) if f.name not in self.inputs
            ):
                return name
        return None

    def job_name(self, config: Any, inputs: Sequence[str]) -> str:
        """Of a job that nobody named: what it does, on which inputs, by which preset."""
        return ", ".join([self.title, *inputs, *filter(None, [self.preset_of(config)])])[:MAX_NAME]

    def misfits(self, config: Any, manifests: Manifests) -> dict[str, str]:
        """{field: reasons} of the inputs that do not fit, {} where all do."""
        found: dict[str, str] = {}
        for field, reason in self.fits(config, manifests) if self.fits else ():
            found[field] = f"{found[field]}, {reason}" if field in found else reason
        return found

    def run(self, config: Any, out_dir: Path, progress: Progress) -> dict[str, Any]:
        """The recipe, on a config whose inputs are folders. ValueError names those that do not fit each other."""
        self.check_folders(config)
        return self.load()(config, out_dir, progress)

    def check_folders(self, config: Any) -> None:
        """The last guard before the recipe."""
        manifests: dict[str, Any] = {}
        found: dict[str, str] = {}
        for field, slot in self.inputs.items():
            read = [read_manifest(Path(folder)) for folder in slot.named(getattr(config, field))]
            for type in filter(None, map(type_of, read)):
                if type not in slot.types:
                    found[field] = f"is a {type}, expected a {' or '.join(slot.types)}"
            if read:
                manifests[field] = read if slot.many else read[0]
        if found := found or self.misfits(config, manifests):
            raise ValueError("; ".join(f"{field} {getattr(config, field)} {reason}" for field, reason in found.items()))

    def load(self) -> Recipe:
        return resolve(self.recipe)


@dataclass(frozen=True, kw_only=True)
class AssetType:
    """How the folder of an asset that was made elsewhere is checked (worlds/intake.py). Its manifest.json names the
    type (`type_of`). Checks are functions of the folder that raise ValueError."""

    files: str
    """Regular expression of the names of its files; others are left behind."""
    content: str
    """The file whose hash gives the id: the same content is the same asset."""
    check: str
    """`module:function`, without torch and NumPy: the gateway calls it."""
    opens: str
    """`module:function` that opens it as a job would, called where there is torch."""
    alone: str | None = None
    """A file that may come by itself, without a manifest."""
    known_by: str | None = None
    """Regular expression of the names of files, one of which says what a folder without a manifest is, where no file
    has a name that is always the same."""
    describe: str | None = None
    """`module:function` that writes the manifest of a folder that came without one; as `check`."""


def resolve(path: str) -> Any:
    """What `module:name` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Of a dataset or a checkpoint; {} where there is none to read, which the recipe reports."""
    try:
        return read_object(folder / "manifest.json")
    except (OSError, ValueError):
        return {}


def type_of(manifest: dict[str, Any]) -> str | None:
    """Of what the manifest describes; None where it does not say."""
    return "dataset" if "episodes" in manifest else manifest.get("kind")


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


@cache
def asset_types() -> dict[str, AssetType]:
    """{type: row} of every room that has some."""
    rooms = [import_module(room) for room in ROOMS]
    return {name: row for room in rooms for name, row in getattr(room, "ASSETS", {}).items()}
