"""A training in small: no torch, seconds long, with a curve that tells whether a step was lost, doubled or made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from terrarium.worlds.kinds import CONFIG, JobKind


@dataclass(frozen=True, kw_only=True)
class TallyConfig:
    """Count, each step from the one before."""

    __pydantic_config__ = CONFIG
    kind: Literal["chaos.tally"] = "chaos.tally"
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    """Of the first value."""
    steps: Annotated[int, Ge(1), Le(100_000)] = 40
    """Steps of the run."""
    pause_s: Annotated[float, Ge(0), Le(10)] = 0.03
    """Seconds that a step takes."""
    save_every: Annotated[int, Ge(1), Le(100_000)] = 10
    """Steps between saved states."""


KINDS = {
    "chaos.tally": JobKind(
        config=TallyConfig, recipe="chaos_recipes:tally", makes="tally", queue="cpu", title="Count", presets={}
    )
}
