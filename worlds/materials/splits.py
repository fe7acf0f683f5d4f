"""Which materials are held out. By material, never by sample: two samples of one material share all that matters."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from terrarium.worlds.materials.procedural import FAMILIES

HELD_OUT_FAMILIES = ("hammered_metal", "knitted", "roof_tiles", "terrazzo")
SEEN_FAMILIES = tuple(name for name in FAMILIES if name not in HELD_OUT_FAMILIES)
FIRST_HELD_OUT_SEED = 2**30  # of procedural materials; training draws below, evaluations at or above


def is_held_out(material: str, share: float, seed: int) -> bool:
    """Whether a named material of a folder is held out; what is added to the folder moves no other one."""
    digest = hashlib.sha256(f"{seed}:{material}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def split(materials: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """(for training, held out). At least one of each where there are two; ValueError where there is only one."""
    if len(set(materials)) < 2:
        raise ValueError(f"{len(set(materials))} materials: expected at least 2, one of them to be held out")
    order = sorted(set(materials), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    held_out = {name for name in order if is_held_out(name, share, seed)} or {order[0]}
    if len(held_out) == len(order):
        held_out.discard(order[-1])
    return [name for name in order if name not in held_out], [name for name in order if name in held_out]
