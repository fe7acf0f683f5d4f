"""Folders of the data directory on machines that share no disk: the object store has every file, each machine a copy.

Where TERRARIUM_ARTIFACTS_URL names no store there is one data directory, and nothing here does more than look there.

    index/<place>/index.json           {"version", "files": {name: {"size", "sha256", "mtime"}}}: what the folder holds
    files/<place>/<version>/<name>     the bytes of a file

<place> is the folder's path in the data directory: checkpoints/<id>, plays/<id>/000, runs/<job>/state/step_000123.
<version> follows from the files' hashes. The index is written last and in one piece, so others see a folder whole or
not at all; of two that publish one place the last counts. A copy holds its index too, and where that differs from the
store's it is fetched anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError

from terrarium.store import disk
from terrarium.store.artifacts import object_store
from terrarium.store.settings import settings

INDEX = "index"
FILES = "files"
COPY = ".shared.json"  # the index, in a folder that was published or fetched
AT_ONCE = 8  # files under way
TRUSTED_S = 10.0  # a copy that was compared with the store so long ago is not compared again
MISSING = (FileNotFoundError, NotFoundError)
Index = dict[str, Any]
_compared: dict[Path, float] = {}


def active() -> bool:
    """Whether there is a store."""
    return bool(settings().artifacts_url)


@dataclass(frozen=True)
class Staged:
    """Files that are in the store and that nobody sees yet."""

    folder: Path
    index: Index | None  # None: there is nothing to share

    def publish(self) -> None:
        """From now on others see them as `folder`, which holds them here too. OSError as for `stage`."""
        if self.index is not None:
            _put(_index_key(self.folder), _text(self.index))
            (self.folder / COPY).write_bytes(_text(self.index))


def stage(folder: Path, source: Path | None = None) -> Staged:
    """Brings the files of `source`, or else of `folder`, into the store, for others to see as `folder`.

    May be repeated: what is there already is not sent again. OSError where the store does not take them.
    """
    if not _is_shared(folder):
        return Staged(folder, None)
    paths = dict(_files(source or folder))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        files = dict(zip(paths, threads.map(_facts, paths.values()), strict=True))
        sums = json.dumps({name: file["sha256"] for name, file in files.items()}, sort_keys=True)
        version = hashlib.sha256(sums.encode()).hexdigest()[:32]
        home = f"{FILES}/{_place(folder)}/{version}"
        there = {path: size for path, size, _ in _listed(home)}
        keys = {name: f"{home}/{name}" for name in files}
        wanted = [name for name, file in files.items() if there.get(keys[name]) != file["size"]]
        list(threads.map(lambda name: _put(keys[name], paths[name]), wanted))
    return Staged(folder, {"version": version, "files": files})


def publish(folder: Path) -> None:
    """Others see the folder as it is now."""
    stage(folder).publish()


def is_published(folder: Path) -> bool:
    return _is_shared(folder) and _index(folder) is not None


def fetch(folder: Path) -> bool:
    """Whether the folder is here, as it was published last: it is fetched if need be.

    OSError where the store does not answer, where it has other bytes than were published, where the disk has no room.
    """
    if not _is_shared(folder):
        return folder.is_dir()
    folder = folder.resolve()
    if folder.is_dir() and time.monotonic() - _compared.get(folder, -TRUSTED_S) < TRUSTED_S:
        return True
    index = _index(folder)
    if index is None:
        return folder.is_dir()  # made before there was a store
    with _locked(folder):
        if _read(folder / COPY) != index:
            _download(folder, index)
    os.utime(folder / COPY)  # the last use
    _compared[folder] = time.monotonic()
    return True


def mirror(folder: Path) -> None:
    """Makes what lies below `folder` that of the store: others' folders are fetched, and copies of what is gone go."""
    if not _is_shared(folder):
        return
    folder = folder.resolve()
    copies = [copy.parent for copy in folder.rglob(COPY)]  # before the store is asked: none of them is too new for it
    wanted = set(published(folder))
    for part in sorted(wanted):
        fetch(part)
    for copy in copies:
        if copy not in wanted:
            shutil.rmtree(copy, ignore_errors=True)


def published(folder: Path) -> list[Path]:
    """The folders at or below this one that others see, here or not."""
    home = settings().data_dir.resolve()
    found = _listed(f"{INDEX}/{_place(folder)}".removesuffix("/.")) if _is_shared(folder) else ()
    return [home / Path(path).parent.relative_to(INDEX) for path, _, _ in found]


def forget(folder: Path) -> None:
    """Removes what the store has of the folder and of all below it; what is here stays."""
    if _is_shared(folder):
        for kind in (INDEX, FILES):  # a folder is never seen without its files
            for path, _, _ in _listed(f"{kind}/{_place(folder)}"):
                _delete(path)
        _compared.pop(folder.resolve(), None)


def copies() -> list[tuple[float, Path]]:
    """(last use, folder) of the assets here that could be fetched again, the longest unused first."""
    return sorted((file.stat().st_mtime, file.parent) for file in settings().data_dir.resolve().glob(f"*/*/{COPY}"))


def superseded(older_than_s: float) -> dict[str, int]:
    """{object: bytes} of files that no index names: of a version that was replaced, or never published."""
    if not active():
        return {}
    indexes = {folder: _index(folder) for folder in published(settings().data_dir)}
    current = tuple(f"{FILES}/{_place(folder)}/{index['version']}/" for folder, index in indexes.items() if index)
    before = time.time() - older_than_s
    old = [(path, size) for path, size, changed in _listed(FILES) if changed < before]
    return {path: size for path, size in old if not path.startswith(current)}


def _is_shared(folder: Path) -> bool:
    """What lies outside the data directory (the shipped model) is on every machine already."""
    return active() and folder.resolve().is_relative_to(settings().data_dir.resolve())


def _place(folder: Path) -> str:
    return folder.resolve().relative_to(settings().data_dir.resolve()).as_posix()


def _index_key(folder: Path) -> str:
    return f"{INDEX}/{_place(folder)}/index.json"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(root, name)
            if name != COPY and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": found.st_size, "sha256": sha256, "mtime": found.st_mtime}


def _download(folder: Path, index: Index) -> None:
    """Under the lock. Files that an earlier try has fetched are not fetched again."""
    files: dict[str, dict[str, Any]] = index["files"]
    total = sum(file["size"] for file in files.values())
    if disk.free_bytes(settings().data_dir) - total < settings().reserve_bytes:
        raise OSError(errno.ENOSPC, f"no room for the {disk.human(total)} of {_place(folder)}")
    draft = _scratch(folder).with_suffix(f".{index['version']}")
    draft.mkdir(exist_ok=True)
    for name in files:
        if not (draft / name).resolve().is_relative_to(draft):
            raise OSError(errno.EINVAL, f"the index of {_place(folder)} names {name!r}, which leads out of it")
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        home = f"{FILES}/{_place(folder)}/{index['version']}"
        list(threads.map(lambda name: _get(f"{home}/{name}", draft / name, files[name]), files))
    (draft / COPY).write_bytes(_text(index))
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft.rename(folder)


def _get(key: str, file: Path, facts: dict[str, Any]) -> None:
    if not (file.is_file() and _facts(file)["sha256"] == facts["sha256"]):
        with _store_errors(key), file.open("wb") as out:
            for chunk in obstore.get(object_store(), key):
                out.write(chunk)
        if _facts(file)["sha256"] != facts["sha256"]:
            file.unlink()
            raise OSError(errno.EIO, f"the object store has other bytes of {key} than were put there")
    os.utime(file, (facts["mtime"], facts["mtime"]))


def _scratch(folder: Path) -> Path:
    """Beginning of the names of what is being fetched."""
    home = settings().data_dir.resolve() / "fetching"
    home.mkdir(parents=True, exist_ok=True)
    return home / hashlib.sha256(bytes(folder)).hexdigest()[:32]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process of this machine at a time fetches a folder."""
    with _scratch(folder).with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _index(folder: Path) -> Index | None:
    """None where nothing is published."""
    key = _index_key(folder)
    try:
        with _store_errors(key):
            found: Index = json.loads(bytes(obstore.get(object_store(), key).bytes()))
    except FileNotFoundError:
        return None
    return found


def _read(file: Path) -> Index | None:
    try:
        found: Index = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _text(index: Index) -> bytes:
    return json.dumps(index, sort_keys=True).encode()


def _listed(prefix: str) -> Iterator[tuple[str, int, float]]:
    """(path, bytes, changed) of the objects at this path and below it."""
    with _store_errors(prefix):
        for some in obstore.list(object_store(), prefix=prefix):
            yield from ((o["path"], o["size"], o["last_modified"].timestamp()) for o in some)


def _put(key: str, content: Path | bytes) -> None:
    with _store_errors(key):
        obstore.put(object_store(), key, content)


def _delete(key: str) -> None:
    with _store_errors(key):
        obstore.delete(object_store(), key)


@contextmanager
def _store_errors(key: str) -> Iterator[None]:
    """What the object store says becomes an OSError, which callers know: gone, the disk is full, or try later."""
    try:
        yield
    except MISSING:
        raise FileNotFoundError(errno.ENOENT, f"the object store has no {key}") from None
    except BaseError as e:
        number = errno.ENOSPC if disk.says_full(e) else errno.EIO
        raise OSError(number, f"the object store failed at {key}: {e}") from e
