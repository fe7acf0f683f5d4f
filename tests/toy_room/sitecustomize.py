"""Adds the toy room to every process that has this folder on its PYTHONPATH, as a line in worlds/kinds.py would."""

import worlds.kinds

worlds.kinds.ROOMS += ("toy_kinds",)  # type: ignore[assignment]
