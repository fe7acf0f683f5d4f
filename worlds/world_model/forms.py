"""The forms of a compiled live step (frozen.py), and which of them a number of players gets.

Beside a package stands what was measured when it was made: how many times as fast as the eager step it was on this
processor. The choice follows from that alone, so it can be read, and is the same at each start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from terrarium.worlds.precision import Precision

MOST = 16  # players in a compiled step
MEASURED = (1, 2, 4, 8, MOST)  # players
PAYS = 1.05  # times as fast as in fp32, from which on a step computes in bf16: rounding must buy something


class Form(NamedTuple):
    """Of one player, whose shapes the compiler then knows, or of 2 to MOST."""

    precision: Precision
    players: int  # the most

    def __str__(self) -> str:
        return f"{self.precision}-{self.players}"

    @classmethod
    def of(cls, name: str) -> Form:
        """ValueError for a name that none has."""
        found = [form for form in forms(("fp32", "bf16")) if str(form) == name]
        if not found:
            raise ValueError(f"form {name!r}: expected one of {', '.join(map(str, forms(('fp32', 'bf16'))))}")
        return found[0]

    def holds(self, players: int) -> bool:
        return players == 1 if self.players == 1 else 1 < players <= self.players

    @property
    def measured(self) -> list[int]:
        return [n for n in MEASURED if self.holds(n)]

    def package(self, folder: Path) -> Path:
        return folder / f"{self}.so"


Gains = Mapping[int, float]  # players -> times as fast as the eager step


def forms(precisions: Iterable[Precision]) -> list[Form]:
    """In the order in which they are compiled: most sessions have one player."""
    return [Form(precision, players) for players in (1, MOST) for precision in precisions]


def best_form(gains: Mapping[Form, Gains], players: int) -> Form | None:
    """None is the eager step: where nothing compiled holds so many, and where nothing compiled was faster.

    A number of players that was not measured is judged by the next larger one.
    """

    def worth(form: Form) -> float:
        gain = gains[form][min(n for n in gains[form] if n >= players)]
        return gain / PAYS if form.precision == "bf16" else gain

    best = max((form for form in gains if form.holds(players)), key=worth, default=None)
    return best if best and worth(best) > 1 else None


def write_gains(package: Path, gains: Gains) -> None:
    package.with_suffix(".json").write_text(json.dumps({str(n): round(gain, 3) for n, gain in gains.items()}) + "\n")


def read_gains(package: Path) -> dict[int, float]:
    return {int(n): gain for n, gain in json.loads(package.with_suffix(".json").read_text()).items()}
