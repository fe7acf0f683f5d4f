"""Captions of structures as words: what a text encoder knows, and what it is shown. Torch-free."""

from __future__ import annotations

import re

import numpy as np

from terrarium.worlds.blocks.structures.source import CLASSES, GROUND, Structure

NO_CAPTION = 0.1  # share of the examples shown without, for classifier-free guidance
WHOLE_CAPTION = 0.5  # share of the others whose caption is said in full


def words(text: str) -> list[str]:
    """In order, in lower case, without digits and signs: "two-storey" is two of them."""
    return re.findall(r"[a-z]+", text.lower())


def vocabulary() -> tuple[str, ...]:
    """Every word of every caption, sorted."""
    found = set(words(" ".join(GROUND)) + ["small", "large", "on", "water"])
    for name, row in CLASSES.items():
        found |= {name, *words(row.caption.format_map(_Blank()))}
        found |= {word for values in row.choices.values() for value in values for word in words(value)}
    return tuple(sorted(found))


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def said_of(made: Structure, rng: np.random.Generator) -> str:
    """The caption, none, or its class among some of its other words: people say less than a caption does."""
    if rng.random() < NO_CAPTION:
        return ""
    if rng.random() < WHOLE_CAPTION:
        return made.caption
    share = rng.random()
    return " ".join(word for word in words(made.caption) if word == made.name or rng.random() < share)
