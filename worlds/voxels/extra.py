"""The extra `sds`, which not every installation has."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def diffusers() -> Any:
    """The package, imported where it is first needed: that takes seconds. ValueError where it is not installed."""
    try:
        return import_module("diffusers")
    except ImportError as e:
        raise ValueError(f"diffusers is missing ({e}): expected it installed, pip install 'terrarium[sds]'") from None
