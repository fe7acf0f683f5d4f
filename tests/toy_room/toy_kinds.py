"""Two kinds of jobs that make things of their own types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from terrarium.worlds.kinds import CONFIG, Input, JobKind, Manifests, Misfit


@dataclass(frozen=True, kw_only=True)
class PaintConfig:
    """Paint a picture of each dataset."""

    __pydantic_config__ = CONFIG
    kind: Literal["toy.paint"] = "toy.paint"
    data: tuple[Annotated[str, Input("dataset")], ...]
    """What to paint."""
    strokes: Annotated[int, Ge(1), Le(9)] = 3
    """Strokes in a picture."""


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    """Frame a painting."""

    __pydantic_config__ = CONFIG
    kind: Literal["toy.frame"] = "toy.frame"
    painting: Annotated[str, Input("painting")]
    """The painting."""


def paint_debug() -> PaintConfig:
    return PaintConfig(data=("-",), strokes=1)


def paint_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    wide = [m["frame_size"] for m in manifests.get("data", []) if m["frame_size"][1] > 64]
    return [("data", f"has frames of width {wide[0][1]}: at most 64 fit the canvas")] if wide else []


def framing_of(id: str, manifest: dict[str, Any]) -> FrameConfig:
    return FrameConfig(painting=id)


KINDS = {
    "toy.paint": JobKind(
        config=PaintConfig,
        recipe="toy_recipes:paint",
        makes="painting",
        queue="cpu",
        title="Paint",
        presets={"debug": paint_debug},
        fits=paint_misfits,
        then=framing_of,
    ),
    "toy.frame": JobKind(
        config=FrameConfig, recipe="toy_recipes:frame", makes="framed", queue="cpu", title="Frame", presets={}
    ),
}
