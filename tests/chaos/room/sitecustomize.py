"""Adds the chaos room to every process that has this folder on its PYTHONPATH, as a line in worlds/kinds.py would."""

from terrarium.worlds import kinds

kinds.ROOMS += ("chaos_kinds",)  # type: ignore[assignment]
