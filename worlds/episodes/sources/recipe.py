"""Recipe `dataset.import`: recordings made elsewhere -> a dataset. One that cannot be used is left out and named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.actions import layout_of
from terrarium.worlds.durable import new_folder, write_text
from terrarium.worlds.episodes.format import MIN_FRAMES, episode_entry, is_intact, write_manifest
from terrarium.worlds.episodes.kinds import ImportConfig, ImportPlayConfig
from terrarium.worlds.episodes.sources import gamefactory, minerl, played, vpt
from terrarium.worlds.episodes.sources.recording import Clip, Recording
from terrarium.worlds.pictures.metrics import save_strip
from terrarium.worlds.progress import Progress, go_on

Config = ImportConfig | ImportPlayConfig
SOURCES: dict[str, Callable[[Any], Iterator[Recording]]] = {
    "gamefactory": gamefactory.iter_episodes,
    "minerl": minerl.iter_episodes,
    "vpt": vpt.iter_episodes,
    "played": played.iter_episodes,
}
Outcome = dict[str, Any]  # {name, config, and what is known of the clip} or {name, reason}


def import_dataset(config: Config, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """What an interrupted run with this config has finished is kept.

    ValueError where nothing of the source can be used.
    """
    source = "played" if isinstance(config, ImportPlayConfig) else config.source
    recordings = list(SOURCES[source](config))
    outcomes: list[Outcome] = []
    for i, recording in enumerate(recordings):
        at_work = partial(go_on, progress, i, len(recordings), "import")
        outcomes.append(_import_one(recording, config, out_dir, f"{i:06d}", at_work))
        _same_layout(outcomes)
        progress.step(i + 1, len(recordings), "import")
    kept = [o for o in outcomes if "entry" in o]
    skipped = [{"name": o["name"], "reason": o["reason"]} for o in outcomes if "reason" in o]
    if not kept:
        first = "; ".join(f"{s['name']}: {s['reason']}" for s in skipped[:3])
        raise ValueError(f"none of the {len(skipped)} recordings can be used: {first}")
    report = {"skipped": skipped, "clipped": sum(o["clipped"] for o in kept)}
    entries = _split(kept, config.val_fraction)
    write_manifest(
        out_dir / "output",
        fps=round(float(np.median([o["fps"] for o in kept])), 3),
        frame_size=(config.height, config.width),
        source=_source(source, config, kept),
        episodes=entries,
        report=report,
        layout=layout_of(kept[0]),
    )
    _preview(out_dir, entries, progress)
    frames = sum(e["length"] for e in entries)
    return {"episodes": len(entries), "frames": frames, "actions": frames - len(entries)} | report


def _source(kind: str, config: Config, kept: list[Outcome]) -> dict[str, Any]:
    """The one world that all were recorded in, where there is one; else the kind of import. No paths: data travels."""
    settings = {k: v for k, v in asdict(config).items() if k not in ("path", "plays")}
    known = [{k: v for k, v in (o["source"] or {}).items() if k != "config"} for o in kept]
    same = known[0] and all(k == known[0] for k in known)
    return (known[0] if same else {"kind": kind}) | {"config": settings}


def _import_one(recording: Recording, config: Config, out_dir: Path, id: str, at_work: Callable[[], None]) -> Outcome:
    at_work()
    folder, done = out_dir / "output" / "episodes" / id, out_dir / "outcomes" / f"{id}.json"
    made_from = {"name": recording.name, "config": asdict(config)}
    outcome = _outcome(done)
    if outcome.items() >= made_from.items() and is_intact(folder, outcome["entry"]):
        return outcome
    try:
        with new_folder(folder) as draft:
            clip = recording.open()
            _write(clip, draft, (config.height, config.width), at_work)
            entry = episode_entry(draft, id, len(clip.actions) + 1, seed=int(id), split="")
    except ValueError as e:
        return {"name": recording.name, "reason": str(e)}
    outcome = made_from | {
        "world": recording.world,
        "entry": entry,
        "fps": clip.fps,
        "clipped": clip.clipped,
        "source": clip.source,
        "action_names": list(clip.layout.names),
        "keys": dict(clip.layout.keys),
    }
    done.parent.mkdir(exist_ok=True)
    write_text(done, json.dumps(outcome))
    return outcome


def _outcome(file: Path) -> Outcome:
    """Of an interrupted run; empty if there is none, or none that can be read."""
    try:
        outcome = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return outcome if isinstance(outcome, dict) and "entry" in outcome else {}


def _same_layout(outcomes: list[Outcome]) -> None:
    """The first recording says what the columns of the actions are; the newest is left out where it differs."""
    first, newest = next((o for o in outcomes if "entry" in o), None), outcomes[-1]
    if first and "entry" in newest and newest["action_names"] != first["action_names"]:
        names = newest["action_names"], first["action_names"]
        outcomes[-1] = {"name": newest["name"], "reason": f"actions are {names[0]}, those of the first {names[1]}"}


def _write(clip: Clip, folder: Path, size: tuple[int, int], at_work: Callable[[], None]) -> None:
    """Frames go to disk one by one. ValueError where there are not as many as the actions call for."""
    expected = len(clip.actions) + 1
    if expected < MIN_FRAMES:
        raise ValueError(f"{expected} frames: expected at least {MIN_FRAMES}")
    n = 0
    # Not through a memory map: on a full disk that ends the process (SIGBUS), where a write is an error.
    with (folder / "frames.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (expected, *size, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in clip.frames:
            at_work()
            assert frame.shape == (*size, 3) and frame.dtype == np.uint8
            file.write(frame.tobytes())
            n += 1
    if n != expected:
        raise ValueError(f"{n} frames for {len(clip.actions)} actions: expected {expected}")
    np.save(folder / "actions.npy", clip.actions)
    if clip.pose is not None:
        np.save(folder / "pose.npy", clip.pose.astype(np.float32))


def _split(kept: list[Outcome], val_fraction: float) -> list[dict[str, Any]]:
    """Manifest entries. The smallest worlds that together hold `val_fraction` of the recordings are validation.

    Where all is one world, each recording counts as its own.
    """
    worlds = [o["world"] for o in kept]
    if len(set(worlds)) == 1:
        worlds = [o["name"] for o in kept]
    wanted = max(1, round(len(kept) * val_fraction)) if val_fraction and len(kept) > 1 else 0
    val: Counter[str] = Counter()
    for world, count in sorted(Counter(worlds).items(), key=lambda item: item[1]):
        if val.total() < wanted:
            val[world] = count
    return [o["entry"] | {"split": "val" if w in val else "train"} for o, w in zip(kept, worlds, strict=True)]


def _preview(out_dir: Path, entries: list[dict[str, Any]], progress: Progress) -> None:
    """A contact sheet: frames of a few episodes."""
    episodes = out_dir / "output" / "episodes"
    rows = [np.load(episodes / e["id"] / "frames.npy", mmap_mode="r")[:16:2] for e in entries[:6]]
    save_strip(out_dir / "episodes.png", rows)
    progress.preview("episodes", out_dir / "episodes.png")
