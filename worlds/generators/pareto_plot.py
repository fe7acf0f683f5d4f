"""Reward over Frechet distance as an SVG: a line a run, a dot a measurement, a ring around its best within budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 400  # pixels
LEFT, RIGHT, TOP, BOTTOM = 56, 130, 30, 46  # margins
COLOURS = ("#1f7a4d", "#c2622d", "#2f5d8a", "#8a3d7a", "#9a7d0a", "#55605a")
TICKS = 5


@dataclass(frozen=True)
class Line:
    """Measurements of a run, {"fd", "reward", "step"}, the base's first, and the step of its best."""

    points: Sequence[Mapping[str, float]]
    best: int


def pareto_plot(title: str, methods: Mapping[str, Sequence[Line]]) -> str:
    """The distance is on a logarithmic axis: runs that leave their budgets leave them by an order of magnitude."""
    points = [point for lines in methods.values() for line in lines for point in line.points]
    x = Axis([math.log10(max(p["fd"], 1e-3)) for p in points], LEFT, WIDTH - RIGHT)
    y = Axis([p["reward"] for p in points], HEIGHT - BOTTOM, TOP)
    parts = [*frame(title, x, y)]
    for i, (name, lines) in enumerate(methods.items()):
        colour = COLOURS[i % len(COLOURS)]
        for line in lines:
            at = [(x.at(math.log10(max(p["fd"], 1e-3))), y.at(p["reward"])) for p in line.points]
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in at)
            parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-opacity='.5'/>")
            for (px, py), point in zip(at, line.points, strict=True):
                parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='2.5' fill='{colour}'/>")
                if point["step"] == line.best:
                    parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='6' fill='none' stroke='{colour}'/>")
        parts.append(text(WIDTH - RIGHT + 24, TOP + 18 * i + 8, name, f"fill='{colour}'"))
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}'"
    return f"{head} role='img' font-family='system-ui, sans-serif'><title>{escape(title)}</title>{''.join(parts)}</svg>"


class Axis:
    """Values onto pixels from `first` to `last`, with a margin of a twentieth on either side."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        low, high = min(values), max(values)
        margin = (high - low) / 20 or 0.05
        self.low, self.high, self.first, self.last = low - margin, high + margin, first, last

    def at(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * i / (TICKS - 1) for i in range(TICKS)]


def frame(title: str, x: Axis, y: Axis) -> list[str]:
    """Ground, axes, ticks and their names."""
    parts = [f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#fbfaf6'/>", text(LEFT, 18, title, "font-weight='600'")]
    for value in x.ticks():
        parts.append(f"<path d='M{x.at(value):.1f} {TOP}V{HEIGHT - BOTTOM}' stroke='#dcdcd2'/>")
        parts.append(text(x.at(value), HEIGHT - BOTTOM + 16, f"{10**value:.3g}", "text-anchor='middle'"))
    for value in y.ticks():
        parts.append(f"<path d='M{LEFT} {y.at(value):.1f}H{WIDTH - RIGHT}' stroke='#dcdcd2'/>")
        parts.append(text(LEFT - 6, y.at(value) + 4, f"{value:.2f}", "text-anchor='end'"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(text(middle, HEIGHT - 10, "Frechet distance (log)", "text-anchor='middle'"))
    parts.append(text(LEFT - 6, TOP - 8, "reward", "text-anchor='end'"))
    return parts


def text(x: float, y: float, words: str, more: str) -> str:
    colour = "" if "fill=" in more else " fill='#1c2420'"
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='12' {more}{colour}>{escape(words)}</text>"
