"""How what was made elsewhere becomes the folder of an asset: found in a folder or a zip, copied into a draft, checked,
then renamed into its place. Without torch and NumPy, but for the check that the caller may ask for.

A folder that came so holds one file more, origin.json: {type, name, file, sha256, from, added_at}. It tells the library
of a folder that has no row yet: one without it is the unfinished work of a job.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from terrarium.worlds.archive import Found, open_archive
from terrarium.worlds.durable import sync, write_text
from terrarium.worlds.json_file import object_of
from terrarium.worlds.kinds import AssetType, asset_types, resolve, type_of

ORIGIN = "origin.json"
MAC_FORKS = "__MACOSX/"  # that macOS adds to the zips that it makes
MAX_MANIFEST = 2**26  # bytes; a dataset of 200 000 episodes


@dataclass(frozen=True)
class Taken:
    type: str
    id: str
    folder: Path


def take_in(
    path: Path,
    draft: Path,
    place: Callable[[str, str], Path],
    origin: Mapping[str, Any],
    *,
    type: str | None = None,
    room: Callable[[int], None] = lambda size: None,
    opened: bool = False,
) -> Taken:
    """Takes a folder or a zip as an asset, which `place(type, id)` finds; one that is there already stays.

    `draft`: an empty folder on the same disk. `origin`: name (or None), file, from, and sha256 of an archive.
    `room(bytes)` raises where there is no room. `opened`: also load it, with torch, as a job would.
    ValueError says what is wrong with it, or that it is not of `type`.
    """
    with _files_of(path) as found:
        actual = _type_of(found, type)
        row = asset_types()[actual]
        files = {name: file for name, file in found.items() if re.fullmatch(row.files, name)}
        room(sum(file.size for file in files.values()))
        for name, file in files.items():
            _copy(file, draft / name)
    checks = [row.check, row.opens] if opened else [row.check]
    _check(draft, [row.describe, *checks] if "manifest.json" not in files and row.describe else checks)
    with (draft / row.content).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    id = str(uuid5(NAMESPACE_OID, digest))
    facts = {"type": actual, "name": origin["name"] or f"{actual}-{id[:8]}", "sha256": digest} | {
        key: value for key, value in origin.items() if key != "name"
    }
    return Taken(actual, id, _settle(draft, place(actual, id), facts | {"added_at": datetime.now(UTC).isoformat()}))


@contextmanager
def new_draft(folder: Path) -> Iterator[Path]:
    """An empty folder in `folder`, removed when the block ends. It is locked meanwhile: `sweep_drafts` removes those
    whose process was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    draft, lock = _locked_draft(folder)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(lock)


def _locked_draft(folder: Path) -> tuple[Path, int]:
    while True:
        draft = Path(tempfile.mkdtemp(dir=folder))
        lock = os.open(draft, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if draft.is_dir():
            return draft, lock
        os.close(lock)  # swept before it was locked


def sweep_drafts(folder: Path) -> None:
    for draft in abandoned_drafts(folder):
        shutil.rmtree(draft, ignore_errors=True)


def abandoned_drafts(folder: Path) -> Iterator[Path]:
    """Those that nobody holds any more, each locked until the next is asked for."""
    for draft in folder.iterdir() if folder.is_dir() else ():
        try:
            lock = os.open(draft, os.O_RDONLY)
        except FileNotFoundError:  # its owner has just ended
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield draft
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


@contextmanager
def _files_of(path: Path) -> Iterator[dict[str, Found]]:
    """{name: file} of a folder, links to files followed, of a zip, or of a file that may come alone. A zip of one
    folder is taken as its contents."""
    if path.is_file() and (lone := _lone_name(path)):
        yield {lone: _file(path)}
        return
    with nullcontext(_listed(path)) if path.is_dir() else open_archive(path) as found:
        top = _top_of(found)
        yield {name.removeprefix(top): file for name, file in found.items() if name.startswith(top)}


def _top_of(found: Mapping[str, Found]) -> str:
    """The one folder that holds the manifest, or all there is where there is no manifest; "" where there is none."""
    tops = {name.removesuffix("manifest.json") for name in found if re.fullmatch(r"([^/]+/)?manifest\.json", name)}
    if not tops:
        tops = {name[: name.find("/") + 1] for name in found if not name.startswith(MAC_FORKS)}
    return tops.pop() if len(tops) == 1 else ""


def _lone_name(file: Path) -> str | None:
    """What the types call a file that needs no manifest: known by its suffix, whatever a person named it."""
    names = (row.alone for row in asset_types().values() if row.alone is not None)
    return next((name for name in names if Path(name).suffix == file.suffix), None)


def _listed(folder: Path) -> dict[str, Found]:
    files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return {str(file.relative_to(folder)): _file(file) for file in files if file.is_file()}


def _file(file: Path) -> Found:
    return Found(file.stat().st_size, lambda: file.open("rb"))


def _type_of(found: Mapping[str, Found], wanted: str | None) -> str:
    """What its manifest says that it is. ValueError where that cannot be taken, or is not what was wanted."""
    expected = wanted or " or ".join(asset_types())
    if "manifest.json" not in found:
        known = [type for type, row in asset_types().items() if _knows(row, found) and type == (wanted or type)]
        if known:
            return known[0]
        raise ValueError(f"manifest.json is not there: expected the files of a {expected}")
    file = found["manifest.json"]
    if file.size > MAX_MANIFEST:
        raise ValueError(f"manifest.json has {file.size} bytes, expected at most {MAX_MANIFEST}")
    with file.open() as stream:
        type = type_of(object_of(stream.read(), "manifest.json"))
    if not isinstance(type, str) or type not in asset_types() or type != (wanted or type):
        raise ValueError(f"its manifest.json is that of {str(type)[:40]!r}, expected a {expected}")
    return type


def _knows(row: AssetType, found: Mapping[str, Found]) -> bool:
    """Whether the files are of this type although no manifest says so."""
    return row.alone in found or (row.known_by is not None and any(re.fullmatch(row.known_by, name) for name in found))


def _copy(file: Found, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open() as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy, 2**20)
        copy.flush()
        os.fsync(copy.fileno())


def _check(draft: Path, checks: Sequence[str]) -> None:
    try:
        for check in checks:
            resolve(check)(draft)
    except ValueError as e:
        raise ValueError(str(e).replace(f"{draft}/", "").replace(str(draft), "it")) from None


def _settle(draft: Path, target: Path, origin: Mapping[str, Any]) -> Path:
    """Renames the draft into its place. One that is there is not replaced, only brought again."""
    write_text(draft / ORIGIN, json.dumps(origin, indent=1))
    for folder, _, _ in os.walk(draft):
        sync(Path(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        (draft / ORIGIN).replace(target / ORIGIN)
        sync(target)
    sync(target.parent)
    return target
