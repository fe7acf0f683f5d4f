"""A block world as an asset: a folder with map.json, a manifest.json that says what is in it, and, where a job made
it, world.glb, turntable.mp4, thumbnail.png and train.jsonl. Without torch and NumPy: the gateway checks too."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from terrarium.worlds.blocks.block_types import NAMES
from terrarium.worlds.blocks.map_entries import Entries, coats_of, entries_of
from terrarium.worlds.durable import write_text
from terrarium.worlds.json_file import read_object

FORMAT_VERSION = 1
TYPE = "block-world"


def facts_of(entries: Entries) -> dict[str, Any]:
    """What a manifest says of any block world: its size along x, y and z, how many blocks of which type, and what
    types wear, by name, where any does."""
    counts = Counter(NAMES[id] for id in entries.places.values())
    wears = {NAMES[id]: coat.name for id, coat in coats_of(entries.custom).items()}
    facts = {
        "format_version": FORMAT_VERSION,
        "kind": TYPE,
        "size": list(entries.shape),
        "blocks": len(entries.places),
        "materials": dict(counts.most_common()),
    }
    return facts | ({"wears": wears} if wears else {})


def describe_world(folder: Path) -> None:
    """Writes the manifest.json of a folder that holds a map.json alone. ValueError for a map that is none."""
    write_text(folder / "manifest.json", json.dumps(facts_of(read_entries(folder / "map.json")), indent=1))


def check_world(folder: Path) -> None:
    """ValueError where the map is not one, naming the block, or not the one that the manifest describes."""
    manifest = read_object(folder / "manifest.json")
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise ValueError(f"manifest.json: format_version {found!r}, expected {FORMAT_VERSION}")
    for name, said in facts_of(read_entries(folder / "map.json")).items():
        if manifest.get(name) != said:
            raise ValueError(f"manifest.json: {name} {manifest.get(name)!r}, the map has {said!r}")


def read_entries(file: Path) -> Entries:
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    try:
        return entries_of(read_object(file))
    except ValueError as e:
        raise ValueError(str(e) if str(file) in str(e) else f"{file}: {e}") from None
