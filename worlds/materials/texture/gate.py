"""Whether a phase of the staged plan may be followed by the next, from its validations. Torch-free.

History: an entry an epoch, {"clean": error on clean materials, "game": on the game's textures, ...}, epochs from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrarium.worlds.materials.texture.phases import Rule

GAME_FALLS = 0.95  # at most so much of two epochs ago
CLEAN_HOLDS = 1.10
ROUNDING = 1e-9  # .95 x .1 is a little less than .095
FIRST = 3  # epoch at which the gate looks back two
LATE = 1 / 3  # the last part of the epochs,
SETTLED = 0.2  # in which at most this much of the whole fall still comes
PLATEAU = 4  # epochs
History = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Verdict:
    """`why` names the figures."""

    open: bool
    why: str


def judge(rule: Rule, history: History) -> Verdict:
    return RULES[rule](history)


def gate(game: Sequence[float], clean: Sequence[float]) -> Verdict:
    """Open where at any epoch e >= 3 game_e <= .95 game_(e-2) and clean_e <= 1.10 clean_(e-2). If closed, `why` has
    the epoch that came nearest."""
    assert len(game) == len(clean)
    if len(game) < FIRST:
        return Verdict(False, f"{len(game)} epochs, expected {FIRST} or more")
    found = []
    for e in range(FIRST, len(game) + 1):
        g, g2, c, c2 = game[e - 1], game[e - 3], clean[e - 1], clean[e - 3]
        game_falls, clean_holds = g <= GAME_FALLS * g2 + ROUNDING, c <= CLEAN_HOLDS * c2 + ROUNDING
        figures = (
            f"game {g:.4f} {_sign(game_falls)} {GAME_FALLS} x {g2:.4f} = {GAME_FALLS * g2:.4f}, "
            f"clean {c:.4f} {_sign(clean_holds)} {CLEAN_HOLDS:.2f} x {c2:.4f} = {CLEAN_HOLDS * c2:.4f}"
        )
        if game_falls and clean_holds:
            return Verdict(True, f"epoch {e}: {figures}")
        found.append((max(g / (GAME_FALLS * g2 or 1e-9), c / (CLEAN_HOLDS * c2 or 1e-9)), e, figures))
    _, nearest, figures = min(found)
    return Verdict(False, f"epoch {nearest}: {figures}")


def settles(history: History) -> Verdict:
    """The loss has fallen, and little of that in the last third of the epochs."""
    loss = [each["loss"] for each in history]
    late = loss[len(loss) - 1 - max(1, round(LATE * (len(loss) - 1)))] if len(loss) > 1 else loss[0]
    fall, late_fall = loss[0] - loss[-1], late - loss[-1]
    why = f"loss {loss[0]:.4f} to {loss[-1]:.4f}, {late_fall:.4f} of it late"
    return Verdict(fall > 0 and abs(late_fall) <= SETTLED * fall, f"{why}, at most {SETTLED * max(0.0, fall):.4f}")


def plateau(history: History) -> Verdict:
    """The best validation is less than four epochs old."""
    clean = [each["clean"] for each in history]
    best = clean.index(min(clean))
    old = len(clean) - 1 - best
    return Verdict(old < PLATEAU, f"clean {clean[best]:.4f} in epoch {best + 1} was the best, {old} epochs ago")


def both_fall(history: History) -> Verdict:
    """L1 and LPIPS of the albedo end lower than they began."""
    first, last = history[0], history[-1]
    falls = all(last[name] < first[name] for name in ("albedo_l1", "albedo_lpips"))
    told = ", ".join(
        f"{name} {first[f'albedo_{name}']:.4f} to {last[f'albedo_{name}']:.4f}" for name in ("l1", "lpips")
    )
    return Verdict(len(history) > 1 and falls, told)


def _sign(holds: bool) -> str:
    return "<=" if holds else ">"


RULES = {
    "settles": settles,
    "plateau": plateau,
    "both_fall": both_fall,
    "gate": lambda history: gate([each["game"] for each in history], [each["clean"] for each in history]),
    "exempt": lambda history: Verdict(True, f"{len(history)} epochs: too few for a gate"),
}
