"""What live play asks of a model and of the simulator beside it, whatever was learned. Light: it imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from terrarium.worlds.blocks.actions import Layout


class Simulator(Protocol):
    """The true world, advanced by the same actions."""

    @property
    def pose(self) -> np.ndarray:
        """float32 [5]"""

    @property
    def state(self) -> Any:
        """A dataclass from which `reset(state=...)` goes on."""

    def reset(self, seed: int) -> np.ndarray: ...

    def step(self, action: np.ndarray) -> np.ndarray:
        """action float32 [A] -> the next frame, uint8 [H, W, 3]."""

    def advance(self, action: np.ndarray) -> None:
        """`step` without a picture."""

    def render(self) -> np.ndarray: ...


class PlayedModel(Protocol):
    """`step` is called from one thread. A state is the model's own business: opaque, one a player."""

    frame_size: tuple[int, int]  # H, W
    fps: float
    temperature: float  # where a player asks for none
    layout: Layout
    manifest: dict[str, Any]
    folder: Path
    frozen: Any  # the compiled step, once somebody has made it

    def simulator(self, source: dict[str, Any] | None = None) -> Simulator | None:
        """The world that it was trained on, or that of `source`, a block world's; None where it learned elsewhere."""

    def context(self, world: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames uint8 [T, H, W, 3] and actions float32 [T-1, A] to start from; leaves `world` at the last frame."""

    def start(self, frames: np.ndarray, actions: np.ndarray) -> Any:
        """A player's state after that context."""

    def step(
        self, states: list[Any], actions: np.ndarray, temperature: np.ndarray, guidance: np.ndarray | None = None
    ) -> np.ndarray:
        """B states, updated in place, actions [B, A], temperature [B], guidance [B] -> frames uint8 [B, H, W, 3]."""
