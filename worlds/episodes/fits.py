"""Which recordings of play make one dataset, judged by what store/plays.py tells of each. Torch-free."""

from __future__ import annotations

from typing import Any

from terrarium.worlds.kinds import Manifests, Misfit


def play_misfits(config: Any, manifests: Manifests) -> list[Misfit]:
    plays = [play for play in manifests.get("plays", []) if play]
    layouts = {tuple(play["action_names"]) for play in plays if play["action_names"]}
    found = []
    if len(layouts) > 1:
        found.append(("plays", f"have different actions: {' and '.join(map(', '.join, sorted(layouts)))}"))
    if config.pictures == "simulator" and any(play["world"] is None for play in plays):
        found.append(("plays", "had no simulator beside them: choose pictures 'model'"))
    if problems := [f"{play['id']}: {play['problem']}" for play in plays if play["problem"]]:
        found.append(("plays", f"are damaged ({'; '.join(problems)})"))
    return found
