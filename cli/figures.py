"""A table of compared models: a column each, a row a figure, windows of long walks side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table


def figures_table(models: Mapping[str, tuple[str, Sequence[Any]]]) -> Table:
    """`models`: {name: (what it is, figures of each seed)}; with several seeds, means and their deviations."""
    from terrarium.worlds.world_model.bench.figures import over_seeds

    found = {name: over_seeds(rows) for name, (_, rows) in models.items()}
    table = Table("", *models)
    table.add_row("", *(what for what, _ in models.values()))
    for figure in dict.fromkeys(name for figures in found.values() for name in figures):
        table.add_row(figure, *(_cell(*figures[figure]) if figure in figures else "-" for figures in found.values()))
    return table


def _cell(means: list[float], deviations: list[float]) -> str:
    spread = " ± " + " ".join(f"{d:.2g}" for d in deviations) if any(deviations) else ""
    return " ".join(f"{m:.3g}" for m in means) + spread
