"""The forms of a compiled live step (frozen.py), and which of them a number of players gets.

A form's number of players is fixed, for the compiler lays weights out for shapes that it knows. More players go through
it in pieces, the last of them filled up; on several threads the pieces run side by side, each on one.

Beside a package stands what was measured when it was made: how many times as fast as the eager step it was on this
processor. The choice follows from that alone, so it can be read, and is the same at each start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from terrarium.worlds.precision import Precision

SIZES = (1, 4)  # players of a package, in the order in which they are compiled: most sessions have one player
MOST = 16  # players in compiled steps
MEASURED = (1, 2, 4, 8, MOST)  # players
PAYS = 1.05  # times as fast as in fp32, from which on a step computes in bf16: rounding must buy something
SHARED = (
    0.8  # of each of several threads' time that helps where they share one run; two made a run 1.5 to 1.7 times as fast
)


class Form(NamedTuple):
    precision: Precision
    players: int  # of one run

    def __str__(self) -> str:
        return f"{self.precision}-{self.players}"

    @classmethod
    def of(cls, name: str) -> Form:
        """ValueError for a name that none has."""
        every = forms(("fp32", "bf16"))
        found = [form for form in every if str(form) == name]
        if not found:
            raise ValueError(f"form {name!r}: expected one of {', '.join(map(str, every))}")
        return found[0]

    @property
    def measured(self) -> list[int]:
        return [n for n in MEASURED if n >= self.players]

    def pieces(self, players: int) -> int:
        return -(-players // self.players)

    def package(self, folder: Path) -> Path:
        return folder / f"{self}.so"


Gains = Mapping[int, float]  # players -> times as fast as the eager step, all on one thread


def forms(precisions: Iterable[Precision], sizes: Iterable[int] = SIZES) -> list[Form]:
    return [Form(precision, players) for players in sizes for precision in precisions]


def next_form(precisions: Sequence[Precision], made: Mapping[Form, Gains]) -> Form | None:
    """What to compile next: one player in every precision, then more players in the one that was the fastest."""
    first = next((form for form in forms(precisions, SIZES[:1]) if form not in made), None)
    if first:
        return first
    best = max(made, key=lambda form: worth(form, made[form], SIZES[0], 1))
    return next((form for form in forms([best.precision], SIZES) if form not in made), None)


def best_form(gains: Mapping[Form, Gains], players: int, threads: int = 1) -> Form | None:
    """None is the eager step: for more than MOST, and where nothing compiled was faster."""
    if players > MOST or not gains:
        return None
    best = max(gains, key=lambda form: worth(form, gains[form], players, threads))
    return best if worth(best, gains[best], players, threads) > speed(1, threads) else None


def worth(form: Form, gains: Gains, players: int, threads: int) -> float:
    """What the choice goes by: times as fast as the eager step on one thread, less what bf16 has to buy."""
    gain = gain_of(form, gains, players) * speed(form.pieces(players), threads)
    return gain / PAYS if form.precision == "bf16" else gain


def gain_of(form: Form, gains: Gains, players: int) -> float:
    """A number of players that was not measured is judged by the next larger one, and by its own number of runs."""
    known = min(n for n in gains if n >= players)
    return gains[known] * (players / known) * (form.pieces(known) / form.pieces(players))


def speed(pieces: int, threads: int) -> float:
    """How many times as fast as on one thread."""
    if pieces == 1:
        return max(1.0, SHARED * threads)
    return pieces / -(-pieces // threads)


def write_gains(package: Path, gains: Gains) -> None:
    package.with_suffix(".json").write_text(json.dumps({str(n): round(gain, 3) for n, gain in gains.items()}) + "\n")


def read_gains(package: Path) -> dict[int, float]:
    return {int(n): gain for n, gain in json.loads(package.with_suffix(".json").read_text()).items()}
