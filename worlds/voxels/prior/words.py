"""Captions as words. Torch-free."""

from __future__ import annotations

import re


def words(text: str) -> list[str]:
    """In order, in lower case, without digits and signs: "two-storey" is two of them."""
    return re.findall(r"[a-z]+", text.lower())
