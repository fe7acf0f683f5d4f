"""Plans: jobs that follow each other, each of which may take what earlier ones make. Torch-free.

A plan is a list of steps, each with a name and the config of a job. An input of a step that reads `@record` is what the
step `record`, one before it, will make; the recipe gets that step's asset in its place. A step runs as soon as all that
it takes is made; if one of them fails, the steps that need it never start.

`PLANS` has those that Terrarium knows by name, as functions of their arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from annotated_types import MaxLen, MinLen
from pydantic import StringConstraints

from terrarium.worlds.kinds import CONFIG, Conflict, Slot, kinds

MADE = "@"  # leads the name of the step that makes an input
MOST_STEPS = 32
StepName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
Look = Callable[[Slot, str], dict[str, Any]]  # an input's slot, its id or folder -> its manifest


@dataclass(frozen=True)
class Step:
    name: str
    config: Any


class BadStep(ValueError):
    """What is wrong with a field of a step."""

    def __init__(self, step: str, field: str, reason: str) -> None:
        super().__init__(f"step {step}: {field} {reason}")
        self.step, self.field, self.reason = step, field, reason


@dataclass(frozen=True)
class Promise:
    """What a step will make: its type, and its manifest as far as the config tells."""

    type: str
    manifest: dict[str, Any]


def named_steps(config: Any) -> dict[str, tuple[str, ...]]:
    """{field: names of the steps whose output it takes}."""
    slots = kinds()[config.kind].inputs
    given = {field: slot.named(getattr(config, field)) for field, slot in slots.items()}
    return {field: tuple(id[len(MADE) :] for id in ids if id.startswith(MADE)) for field, ids in given.items()}


def filled(config: Any, made: Mapping[str, str]) -> Any:
    """The config with an id or a folder, `made[step]`, in place of each `@step`."""
    changed: dict[str, Any] = {}
    for field, slot in kinds()[config.kind].inputs.items():
        value = getattr(config, field)
        if any(named_steps(config)[field]):
            ids = [made[id[len(MADE) :]] if id.startswith(MADE) else id for id in slot.named(value)]
            changed[field] = type(value)(ids) if slot.many else ids[0]
    return replace(config, **changed)


def check_references(steps: Sequence[Step]) -> None:
    """BadStep for a name that occurs twice, and for an input that no step before makes, or one of another type."""
    makes: dict[str, str] = {}
    for step in steps:
        if step.name in makes:
            raise BadStep(step.name, "name", "occurs twice: expected another one for each step")
        for field, names in named_steps(step.config).items():
            wanted = " or ".join(kinds()[step.config.kind].inputs[field].types)
            for name in names:
                if name not in makes:
                    before = ", ".join(makes) or "none"
                    raise BadStep(step.name, field, f"takes {MADE}{name}, expected a step before it: {before}")
                if makes[name] not in kinds()[step.config.kind].inputs[field].types:
                    raise BadStep(step.name, field, f"takes {MADE}{name}, a {makes[name]}, expected a {wanted}")
        makes[step.name] = kinds()[step.config.kind].makes


def promise(config: Any, manifests: Mapping[str, Any]) -> Promise:
    """Of what a step will make, from its config and the manifests, or promised manifests, of its inputs."""
    row = kinds()[config.kind]
    return Promise(row.makes, row.promises(config, manifests) if row.promises else {})


def check(steps: Sequence[Step], look: Look) -> None:
    """BadStep for the first step whose inputs do not fit each other, as far as that is known before any has run.
    `look` is asked for inputs that are there already, and raises ValueError for one that is not."""
    check_references(steps)
    promised: dict[str, Promise] = {}
    for step in steps:
        row = kinds()[step.config.kind]
        manifests: dict[str, Any] = {}
        for field, slot in row.inputs.items():
            ids = slot.named(getattr(step.config, field))
            try:
                found = [promised[id].manifest if id in promised else look(slot, id) for id in ids]
            except ValueError as e:
                raise BadStep(step.name, field, str(e)) from None
            if found:
                manifests[field] = found if slot.many else found[0]
        for field, reason in row.misfits(step.config, manifests).items():
            raise BadStep(step.name, field, reason)
        promised[MADE + step.name] = promise(step.config, manifests)


@dataclass(frozen=True, kw_only=True)
class PlayableConfig:
    """From words, or from a block world that is there, to a world model that plays in it: generate, record, train."""

    __pydantic_config__ = CONFIG
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")] = ""
    """What to build, in words."""
    world: Annotated[str, MinLen(1), MaxLen(4096)] | None = None
    """A block world to make playable as it is, in place of words."""
    preset: Literal["debug", "cpu", "small"] = "cpu"
    """debug: seconds, to try everything out; cpu: on a CPU; small: on a GPU."""

    def __post_init__(self) -> None:
        if bool(self.prompt) == bool(self.world):
            found = "both a prompt and a world" if self.world else "neither a prompt nor a world"
            raise Conflict("prompt", f"{found}: expected one of them")


def playable(config: PlayableConfig) -> list[Step]:
    """world (of words) -> recording, walks in it -> tokenizer (but for `cpu`) -> world-model.

    `cpu` goes on from the shipped world model and keeps its tokenizer: the blocks of every world are the same, and what
    is new is where they stand.
    """
    preset = config.preset
    steps = []
    if config.prompt:
        words = kinds()["world.generate"].presets["words"]()
        steps.append(Step("world", replace(words, prompts=(config.prompt,), **GENERATE[preset])))
    record = kinds()["dataset.record"].presets[preset]()
    here = config.world or f"{MADE}world"
    steps.append(Step("recording", replace(record, map=here, **RECORD[preset])))
    train = kinds()["world-model.train"].presets[preset]()
    if preset == "cpu":
        train = replace(train, data=f"{MADE}recording", start="shipped", **TRAIN_ON)
    else:
        tokenizer = replace(kinds()["tokenizer.train"].presets[preset](), data=f"{MADE}recording")
        steps.append(Step("tokenizer", tokenizer))
        train = replace(train, data=f"{MADE}recording", tokenizer=f"{MADE}tokenizer")
    return [*steps, Step("world-model", train)]


@dataclass(frozen=True, kw_only=True)
class TextureConfig:
    """The staged texture plan: twelve trainings, one phase each, with a gate between them."""

    __pydantic_config__ = CONFIG
    clean: Annotated[str, MinLen(1), MaxLen(4096)] | None = None
    """Clean textures, such as MatSynth's. If omitted, procedural ones are drawn."""
    game: Annotated[str, MinLen(1), MaxLen(4096)] | None = None
    """Textures of a game. If omitted, procedural ones are drawn, with baked light."""
    preset: Literal["debug", "cpu", "default"] = "debug"
    """debug: minutes, to try everything out; cpu: small, on a CPU; default: the plan's own sizes, on a GPU."""
    release: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")] | None = (
        None
    )
    """Why phases go on although a gate is closed; it is recorded. If omitted, a closed gate ends the plan, but at debug
    sizes, which are too small for gates."""


def texture(config: TextureConfig) -> list[Step]:
    """clean and game (where none are given), a0, a and a-albedo-syn, b, c, cp, d-metal to d-height."""
    preset, released = config.preset, config.release
    if released is None:
        released = TOO_SMALL if preset == "debug" else ""
    presets: list[Any] = [kinds()[f"texture.{kind}"].presets[preset] for kind in ("dataset", "train")]
    draw, train = presets  # functions of domain and seed, of phase, map and inputs
    data = {"clean": config.clean or f"{MADE}clean", "game": config.game or f"{MADE}game"}
    seeds = {"clean": 0, "game": GAME_SEED}
    steps = [Step(name, draw(name, seeds[name])) for name, id in data.items() if id == MADE + name]
    for name, (phase, head, start) in TEXTURE.items():
        inputs = {"clean": data["clean"]} | ({} if phase in CLEAN_ALONE else {"game": data["game"]})
        inputs |= {"start": MADE + start} if start else {}
        inputs |= {"albedo": f"{MADE}a-albedo-syn"} if phase == "B" else {}
        steps.append(Step(name, train(phase, head, **inputs, release=released if start else "")))
    return steps


TOO_SMALL = "debug sizes are too small for gates"
GAME_SEED = 100_000  # of the game's first texture: other materials than the clean ones
CLEAN_ALONE = ("A0", "A", "A_alb_syn")
D_MAPS = ("metal", "albedo", "roughness", "metallic", "ao", "height")  # its jobs go on from each other
TEXTURE: dict[str, tuple[str, str | None, str | None]] = {  # step: phase, map, the step that it goes on from
    "a0": ("A0", None, None),
    "a": ("A", None, "a0"),
    "a-albedo-syn": ("A_alb_syn", None, "a0"),
    "b": ("B", None, "a"),
    "c": ("C", None, "b"),
    "cp": ("Cp", None, "c"),
    **{
        f"d-{map}": ("D", map, f"d-{before}" if before else "cp")
        for before, map in zip(("", *D_MAPS), D_MAPS, strict=False)
    },
}
GENERATE: dict[str, dict[str, Any]] = {
    "debug": {"steps": 10, "image": 32, "image_every": 5, "log_every": 1},
    "cpu": {"size": 32},
    "small": {"size": 32, "steps": 400},
}
RECORD: dict[str, dict[str, Any]] = {
    "debug": {},
    "cpu": {"episodes": 48, "val_fraction": 0.125},
    "small": {"episodes": 1000},
}
TRAIN_ON: dict[str, Any] = {"steps": 1000, "lr": 3e-4, "keep_painter": True}
PLANS: dict[str, Callable[[Any], list[Step]]] = {"playable": playable, "texture": texture}
