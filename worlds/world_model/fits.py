"""Which inputs fit each other, judged by their manifests alone. Torch-free.

Each function takes a config and {field: manifest} of the inputs that are known, and returns (field, reason) of each
that does not fit. A manifest that does not say is not refused here: the recipe sees more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from terrarium.worlds.kinds import Manifests, Misfit

DOWN = 4  # pixels along the side of a tokenizer's cell
FIRST_SEED = 1_000_000_000  # of the worlds kept for evaluation
CAMERA = ["yaw", "pitch"]
# Settings that shape a world model's weights. The last two only decide whether a part is there.
SHAPE = ("channels", "layers", "flow", "flow_context", "reset", "film")
PARTS = ("recent", "echo")


def tokenizer_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    size = facts(manifests.get("data", {})).get("frame_size")
    if size and any(side % DOWN for side in size):
        return [("data", f"has frames of {_pixels(size)}: width and height must be multiples of {DOWN}")]
    return []


def world_model_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    found = tokenizer_misfits(config, manifests)
    data, start = facts(manifests.get("data", {})), manifests.get("start", {})
    names = data.get("action_names")
    if (config.true_flow or config.moving_camera) and (pictures_of(data) or "blocks") != "blocks":
        found.append(("data", f"shows {pictures_of(data)}: only block worlds tell depths, which this training needs"))
    if config.film == "paths" and names and names[:2] != CAMERA:
        found.append(("data", "has no camera, which film 'paths' needs: its first actions are not yaw and pitch"))
    for field in ("tokenizer", "start"):
        found += [(field, reason) for reason in _other_frames(facts(manifests.get(field, {})), data)]
    found += [("start", reason) for reason in _other_shape(config, start, names)]
    if config.keep_painter and start:
        found += [("start", reason) for reason in _other_painter(config, start)]
    return found + [("start", reason) for reason in _other_tokenizer(start, manifests.get("tokenizer", {}))]


def evaluation_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    trained_on = facts(manifests.get("checkpoint", {}))
    source, last_seed = pictures_of(trained_on), trained_on.get("seeds", [0])[-1]
    if trained_on and source != "blocks":
        return [("checkpoint", f"was trained on {source or 'unknown pictures'}: only block worlds have a simulator")]
    if last_seed >= FIRST_SEED:
        reason = f"was trained on world seed {last_seed}: those from {FIRST_SEED} on are kept for evaluation"
        return [("checkpoint", reason)]
    return []


def facts(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the manifest of a dataset, or of a checkpoint trained on it, says of its frames and actions."""
    return manifest.get("data", manifest)


def pictures_of(data: dict[str, Any]) -> str | None:
    """What the frames show: blocks, a game by its name, a kind of recordings. None where that is not known, as of play
    recorded in several worlds."""
    source = data.get("source", {})
    kind = source.get("kind")
    return None if kind == "played" else source.get("env", kind)


def _other_frames(trained_on: dict[str, Any], data: dict[str, Any]) -> Iterator[str]:
    theirs, ours = trained_on.get("frame_size"), data.get("frame_size")
    if theirs and ours and list(theirs) != list(ours):
        yield f"was trained on frames of {_pixels(theirs)}, the dataset has {_pixels(ours)}"
    theirs, ours = pictures_of(trained_on), pictures_of(data)
    if theirs and ours and theirs != ours:
        yield f"was trained on {theirs}, the dataset shows {ours}"


def _other_shape(config: Any, start: dict[str, Any], names: list[str] | None) -> Iterator[str]:
    theirs = facts(start).get("action_names")
    if theirs and names and list(theirs) != list(names):
        yield f"has the actions {', '.join(theirs)}, the dataset {', '.join(names)}"
    made = start.get("dynamics", {})
    for name in (*SHAPE, *PARTS):
        had, wanted = made.get(name), getattr(config, name)
        same = bool(had) == bool(wanted) if name in PARTS else had == wanted
        if name in made and not same:
            yield f"has {name} {had}, this training {wanted}"


def _other_tokenizer(start: dict[str, Any], tokenizer: dict[str, Any]) -> Iterator[str]:
    theirs, ours = start.get("tokenizer_sha256"), tokenizer.get("tokenizer_sha256")
    if theirs and ours and theirs != ours:
        yield "was trained with another tokenizer: leave the tokenizer out to use the one in this world model"


def _other_painter(config: Any, start: dict[str, Any]) -> Iterator[str]:
    theirs = start.get("dynamics", {}).get("painter_channels")
    if not start.get("painter"):
        yield "has no painter to keep"
    elif theirs != config.painter_channels:
        yield f"has painter_channels {theirs}, this training {config.painter_channels}"


def _pixels(frame_size: list[int]) -> str:
    height, width = frame_size
    return f"{width}x{height}"
