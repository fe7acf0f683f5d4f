"""Which keyboard keys press a game's actions, guessed from the actions' names."""

from __future__ import annotations

from collections.abc import Sequence

_WAYS = {
    "left": ("KeyA", "ArrowLeft"),
    "right": ("KeyD", "ArrowRight"),
    "up": ("KeyW", "ArrowUp"),
    "forward": ("KeyW", "ArrowUp"),
    "down": ("KeyS", "ArrowDown"),
    "backward": ("KeyS", "ArrowDown"),
}
_MAIN = {"do", "fire", "interact", "jump", "shoot", "space", "toggle", "use"}
_VERBS = {"go", "move", "push", "step", "turn", "walk"}  # before a way
# What the others get, in this order. R, P, T, K and O are commands of the browser's Play page.
_FREE = [
    *(f"Digit{d}" for d in "1234567890"),
    *(f"Key{c}" for c in "QEFGHZXCVBNMYUIJL"),
    *("Minus", "Equal", "Comma", "Period", "Semicolon"),
]


def guess_keys(names: Sequence[str]) -> dict[str, str]:
    """{KeyboardEvent.code: name}, for at least 32 names such as `move_left` or `place_stone`.

    Ways get W, A, S, D and the arrows, the first of do, fire, jump, ... gets space, all others digits and letters.
    """
    keys: dict[str, str] = {}
    others = []
    for name in names:
        words = set(name.split("_"))
        way = words - _VERBS
        codes: tuple[str, ...] = _WAYS.get(next(iter(way)), ()) if len(way) == 1 else ()
        if not codes and words <= _MAIN:
            codes = ("Space",)
        if codes and codes[0] not in keys:
            keys |= dict.fromkeys(codes, name)
        else:
            others.append(name)
    return keys | dict(zip(_FREE, others, strict=False))
