"""Episodes on disk: one memory-mappable format for every source.

    dataset/
      manifest.json                {format_version, fps, frame_size [H, W], action_names, keys {keyboard code: name},
                                    source, episodes, report}
      episodes/000123/frames.npy   uint8   [T, H, W, 3]
      episodes/000123/actions.npy  float32 [T-1, A]     actions[t] leads from frames[t] to frames[t + 1]
      episodes/000123/pose.npy     float32 [T, 5]       x, y, z, yaw_deg, pitch_deg, where the source knows it

A split belongs to a whole world seed (or video), never to a frame.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.worlds.blocks.actions import BLOCKS, Layout, layout_of
from terrarium.worlds.durable import new_folder, write_text
from terrarium.worlds.episodes.manifest import FORMAT_VERSION, read_dataset_manifest
from terrarium.worlds.progress import RecipeError

MIN_FRAMES = 17  # of a recording: shorter ones hold no training clip


@dataclass(frozen=True)
class Episode:
    id: str
    seed: int
    split: str
    frames: np.ndarray  # uint8 [T, H, W, 3], memory-mapped
    actions: np.ndarray  # float32 [T-1, A]
    pose: np.ndarray | None  # float32 [T, 5]


@dataclass(frozen=True)
class Dataset:
    path: Path
    manifest: dict[str, Any]
    episodes: list[Episode]

    @property
    def layout(self) -> Layout:
        return layout_of(self.manifest)

    @property
    def frame_size(self) -> tuple[int, int]:
        return tuple(self.manifest["frame_size"])

    def split(self, name: str) -> list[Episode]:
        """Episodes of `train` or `val`; ValueError where there are none."""
        found = [e for e in self.episodes if e.split == name]
        if not found:
            raise ValueError(f"dataset {self.path} has no episode in split {name!r}: record it with val_fraction > 0")
        return found


def write_episode(
    folder: Path, frames: np.ndarray, actions: np.ndarray, pose: np.ndarray | None, *, seed: int, split: str
) -> dict[str, Any]:
    """Writes one episode folder, with its manifest entry in entry.json, and returns that entry.

    ValueError where the lengths do not fit.
    """
    if len(frames) != len(actions) + 1:
        raise ValueError(
            f"episode {folder.name}: {len(frames)} frames and {len(actions)} actions, expected one frame more"
        )
    with new_folder(folder) as draft:
        np.save(draft / "frames.npy", frames)
        np.save(draft / "actions.npy", actions.astype(np.float32))
        if pose is not None:
            np.save(draft / "pose.npy", pose.astype(np.float32))
        entry = episode_entry(draft, folder.name, len(frames), seed=seed, split=split)
        (draft / "entry.json").write_text(json.dumps(entry))
    return entry


def episode_entry(folder: Path, id: str, length: int, *, seed: int, split: str) -> dict[str, Any]:
    """The manifest entry of an episode whose .npy files lie in `folder`."""
    sha = {file.name: _sha256(file) for file in sorted(folder.glob("*.npy"))}
    return {"id": id, "length": length, "seed": seed, "split": split, "sha256": sha}


def finished_episode(folder: Path) -> dict[str, Any] | None:
    """The manifest entry of an episode that an interrupted run has written; None if it is missing or damaged."""
    try:
        entry = json.loads((folder / "entry.json").read_text())
    except (OSError, ValueError):
        return None
    return entry if is_intact(folder, entry) else None


def is_intact(folder: Path, entry: Any) -> bool:
    """Whether the files of an episode are those that its manifest entry describes. Reads them all."""
    try:
        files = entry["sha256"].items()
        return entry["id"] == folder.name and all(_sha256(folder / name) == sha for name, sha in files)
    except (OSError, AttributeError, KeyError, TypeError):
        return False


def write_manifest(
    dataset: Path,
    *,
    fps: float,
    frame_size: tuple[int, int],
    source: dict[str, Any],
    episodes: list[dict[str, Any]],
    report: dict[str, Any] | None = None,
    layout: Layout = BLOCKS,
) -> dict[str, Any]:
    """The last step of a dataset. `report`: what an import left out or changed; `skipped` lists {name, reason}.

    RecipeError names the first episode whose files are not what its entry says.
    """
    manifest = {
        "format_version": FORMAT_VERSION,
        "fps": fps,
        "frame_size": list(frame_size),
        "action_names": list(layout.names),
        "keys": dict(layout.keys),
        "source": source,
        "episodes": episodes,
        "report": report or {"skipped": []},
    }
    try:
        for entry in episodes:
            _open_episode(dataset, manifest, entry, verify=False)
    except ValueError as e:
        raise RecipeError("damaged_output", f"{e}: it was written whole; look at the disk, then retry") from None
    write_text(dataset / "manifest.json", json.dumps(manifest, indent=1))
    return manifest


def open_dataset(path: str | Path, *, verify: bool = False) -> Dataset:
    """Opens and checks a dataset, memory-mapped. ValueError names the episode, what was found and what was expected.

    `verify` also reads every file and compares its sha256.
    """
    path = Path(path)
    manifest = read_dataset_manifest(path)
    episodes = [_open_episode(path, manifest, entry, verify) for entry in manifest["episodes"]]
    if not episodes:
        raise ValueError(f"dataset {path} holds no episodes")
    return Dataset(path, manifest, episodes)


def _open_episode(path: Path, manifest: dict[str, Any], entry: dict[str, Any], verify: bool) -> Episode:
    folder = path / "episodes" / entry["id"]
    n, (height, width) = entry["length"], manifest["frame_size"]
    frames = _load(folder, "frames.npy", (n, height, width, 3), np.uint8)
    actions = _load(folder, "actions.npy", (n - 1, len(manifest["action_names"])), np.float32)
    pose = _load(folder, "pose.npy", (n, 5), np.float32) if "pose.npy" in entry["sha256"] else None
    for name, sha in entry["sha256"].items() if verify else ():
        if _sha256(folder / name) != sha:
            raise ValueError(f"episode {entry['id']}: {name} differs from its recorded sha256: the file was changed")
    return Episode(entry["id"], entry["seed"], entry["split"], frames, actions, pose)


def _sha256(file: Path) -> str:
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _load(folder: Path, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    file = folder / name
    dataset = folder.parent.parent.resolve()
    if not file.resolve().is_relative_to(dataset):
        raise ValueError(f"episode {folder.name}: {name} is a link to {file.resolve()}, expected a file in {dataset}")
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except FileNotFoundError:
        raise ValueError(f"episode {folder.name}: {name} is missing") from None
    except (ValueError, EOFError, OSError) as e:
        raise ValueError(f"episode {folder.name}: {name} is truncated or not a .npy file ({e})") from None
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"episode {folder.name}: {name} is {array.dtype} {array.shape}, the manifest says {np.dtype(dtype)} {shape}"
        )
    return array
